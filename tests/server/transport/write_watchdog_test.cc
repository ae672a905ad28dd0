// SPDX-License-Identifier: Apache-2.0
#include "server/transport/write_watchdog.h"

#include <atomic>
#include <chrono>
#include <latch>
#include <optional>
#include <thread>

#include "gtest/gtest.h"
#include "tests/server/transport/fake_transport_call.h"

namespace lmserve {
namespace {

using std::chrono::milliseconds;

// Waits until the watchdog has cancelled a call at least `times` times.
void WaitForCancellations(const FakeTransportCall& call, int times) {
  while (call.cancellations() < times) {
    std::this_thread::sleep_for(milliseconds(1));
  }
}

TEST(WriteWatchdogTest, CancelsWritesAfterTheLimitAgainAndAgain) {
  const auto start = std::chrono::steady_clock::now();
  WriteWatchdog watchdog(milliseconds(20));
  const FakeTransportCall first, second;
  const WriteWatchdog::Watch first_watch(watchdog, first);
  const WriteWatchdog::Watch second_watch(watchdog, second);
  WaitForCancellations(first, 1);
  WaitForCancellations(second, 1);
  EXPECT_GE(std::chrono::steady_clock::now() - start, milliseconds(20));
  WaitForCancellations(first, 2);
}

TEST(WriteWatchdogTest, DoesNotCancelACallWithoutWrites) {
  WriteWatchdog watchdog(milliseconds(5));
  const FakeTransportCall quick, stalled;
  { const WriteWatchdog::Watch watch(watchdog, quick); }
  const WriteWatchdog::Watch watch(watchdog, stalled);
  WaitForCancellations(stalled, 2);
  EXPECT_EQ(quick.cancellations(), 0);
}

TEST(WriteWatchdogTest, ALimitOfZeroTurnsItOff) {
  WriteWatchdog watchdog(milliseconds(0));
  const FakeTransportCall call;
  const WriteWatchdog::Watch watch(watchdog, call);
  std::this_thread::sleep_for(milliseconds(50));
  EXPECT_EQ(call.cancellations(), 0);
}

// gRPC may run the end of a call inside of Cancel().
TEST(WriteWatchdogTest, AWatchMayEndWhileItsCallIsCancelled) {
  WriteWatchdog watchdog(milliseconds(5));
  FakeTransportCall call;
  std::optional<WriteWatchdog::Watch> watch;
  std::latch made(1), ended(1);
  call.on_cancel = [&] {
    made.wait();
    watch.reset();
    ended.count_down();
  };
  watch.emplace(watchdog, call);
  made.count_down();
  ended.wait();
}

// The call may be destroyed right after its watch, so the watch must not end
// before Cancel() returns.
TEST(WriteWatchdogTest, TheEndOfAWatchWaitsForCancel) {
  WriteWatchdog watchdog(milliseconds(5));
  std::optional<FakeTransportCall> call;
  call.emplace();
  std::latch entered(1);
  std::atomic<bool> returned = false;
  call->on_cancel = [&] {
    if (call->cancellations() > 1) return;
    entered.count_down();
    std::this_thread::sleep_for(milliseconds(50));
    returned = true;
  };
  std::optional<WriteWatchdog::Watch> watch;
  watch.emplace(watchdog, *call);
  entered.wait();
  watch.reset();
  EXPECT_TRUE(returned);
  call.reset();
}

}  // namespace
}  // namespace lmserve
