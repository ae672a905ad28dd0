// SPDX-License-Identifier: Apache-2.0
#include "model_store/mutex.h"

#include <chrono>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "gtest/gtest.h"

namespace lmserve {
namespace {

using std::chrono::milliseconds;

// A counter and a flag as a class with a mutex would hold them.
struct Guarded {
  Mutex mutex;
  ConditionVariable changed;
  int count ABSL_GUARDED_BY(mutex) = 0;
  bool is_ready ABSL_GUARDED_BY(mutex) = false;
};

void SetReady(Guarded& guarded) {
  const MutexLock lock(guarded.mutex);
  guarded.is_ready = true;
  guarded.changed.NotifyAll();
}

TEST(MutexTest, ExcludesOtherThreads) {
  constexpr int kThreads = 4;
  constexpr int kIncrements = 10000;
  Guarded guarded;
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < kIncrements; ++n) {
        const MutexLock lock(guarded.mutex);
        ++guarded.count;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const MutexLock lock(guarded.mutex);
  EXPECT_EQ(guarded.count, kThreads * kIncrements);
}

TEST(ConditionVariableTest, WaitReturnsAfterANotification) {
  Guarded guarded;
  std::thread thread([&] { SetReady(guarded); });
  {
    const MutexLock lock(guarded.mutex);
    while (!guarded.is_ready) guarded.changed.Wait(guarded.mutex);
    EXPECT_TRUE(guarded.is_ready);
  }
  thread.join();
}

TEST(ConditionVariableTest, NotifyOneWakesAWaiter) {
  Guarded guarded;
  std::thread thread([&] {
    const MutexLock lock(guarded.mutex);
    guarded.is_ready = true;
    guarded.changed.NotifyOne();
  });
  {
    const MutexLock lock(guarded.mutex);
    while (!guarded.is_ready) {
      guarded.changed.WaitFor(guarded.mutex, std::chrono::hours(1));
    }
  }
  thread.join();
}

TEST(ConditionVariableTest, TimedWaitsReportThatTheTimeRanOut) {
  Guarded guarded;
  const MutexLock lock(guarded.mutex);
  while (guarded.changed.WaitFor(guarded.mutex, milliseconds(1))) continue;
  const auto deadline = std::chrono::steady_clock::now() + milliseconds(1);
  while (guarded.changed.WaitUntil(guarded.mutex, deadline)) continue;
  EXPECT_GE(std::chrono::steady_clock::now(), deadline);
}

// A wait returns with the mutex held: other threads must wait for it.
TEST(ConditionVariableTest, TheMutexIsHeldAfterAWait) {
  Guarded guarded;
  std::thread thread;
  {
    const MutexLock lock(guarded.mutex);
    guarded.changed.WaitFor(guarded.mutex, milliseconds(1));
    thread = std::thread([&] { SetReady(guarded); });
    std::this_thread::sleep_for(milliseconds(5));
    EXPECT_FALSE(guarded.is_ready);
  }
  thread.join();
}

}  // namespace
}  // namespace lmserve
