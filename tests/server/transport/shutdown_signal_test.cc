// SPDX-License-Identifier: Apache-2.0
#include "server/transport/shutdown_signal.h"

#include <atomic>
#include <chrono>
#include <future>
#include <optional>
#include <thread>

#include "gtest/gtest.h"

namespace lmserve {
namespace {

TEST(ShutdownSignalTest, CallsTheWatchesThatExistEachTime) {
  ShutdownSignal signal;
  EXPECT_FALSE(signal.is_raised());
  int first = 0, second = 0;
  const ShutdownSignal::Watch watch(signal, [&] { ++first; });
  {
    const ShutdownSignal::Watch short_one(signal, [&] { ++second; });
    signal.Raise();
    EXPECT_TRUE(signal.is_raised());
  }
  signal.Raise();
  EXPECT_EQ(first, 2);
  EXPECT_EQ(second, 1);
}

TEST(ShutdownSignalTest, AWatchMayEndInItsFunction) {
  ShutdownSignal signal;
  int calls = 0;
  std::optional<ShutdownSignal::Watch> first, second;
  first.emplace(signal, [&] {
    ++calls;
    first.reset();
  });
  second.emplace(signal, [&] {
    ++calls;
    second.reset();
  });
  signal.Raise();
  signal.Raise();
  EXPECT_EQ(calls, 2);
}

TEST(ShutdownSignalTest, TheEndOfAWatchWaitsForItsFunction) {
  ShutdownSignal signal;
  std::promise<void> begun;
  std::atomic<bool> ended = false;
  std::optional<ShutdownSignal::Watch> watch;
  watch.emplace(signal, [&] {
    begun.set_value();
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    ended = true;
  });
  std::thread raiser([&] { signal.Raise(); });
  begun.get_future().wait();
  watch.reset();
  EXPECT_TRUE(ended);
  raiser.join();
}

}  // namespace
}  // namespace lmserve
