// SPDX-License-Identifier: Apache-2.0
#include "model_store/background_thread.h"

#include <sys/resource.h>
#include <unistd.h>

#include <future>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lmserve {
namespace {

using testing::ElementsAre;

TEST(BackgroundThreadTest, RunsTasksInOrder) {
  std::vector<int> ran;
  BackgroundThread thread;
  for (int i = 0; i < 3; ++i) thread.Post([&ran, i] { ran.push_back(i); });
  thread.Stop();
  EXPECT_THAT(ran, ElementsAre(0, 1, 2));
}

TEST(BackgroundThreadTest, HasTheLowestPriority) {
  const int own = getpriority(PRIO_PROCESS, gettid());
  int priority = 0;
  BackgroundThread thread;
  thread.Post([&] { priority = getpriority(PRIO_PROCESS, gettid()); });
  thread.Stop();
  EXPECT_EQ(priority, 19);
  EXPECT_EQ(getpriority(PRIO_PROCESS, gettid()), own);
}

TEST(BackgroundThreadTest, RepeatsATaskBetweenOthers) {
  std::promise<void> thrice, posted;
  int times = 0;
  BackgroundThread thread;
  thread.RepeatEvery(std::chrono::milliseconds(1), [&] {
    if (++times == 3) thrice.set_value();
  });
  thrice.get_future().wait();
  EXPECT_TRUE(thread.Post([&] { posted.set_value(); }));
  posted.get_future().wait();
}

TEST(BackgroundThreadTest, ATaskMayPost) {
  std::promise<void> done;
  BackgroundThread thread;
  thread.Post([&] { thread.Post([&] { done.set_value(); }); });
  done.get_future().wait();
}

TEST(BackgroundThreadTest, AcceptsNoTasksAfterStop) {
  BackgroundThread thread;
  thread.Stop();
  thread.Stop();
  EXPECT_FALSE(thread.Post([] { FAIL(); }));
}

TEST(BackgroundThreadTest, RunsADelayedTaskAfterItsDelay) {
  constexpr std::chrono::milliseconds kDelay(20);
  std::promise<void> done;
  BackgroundThread thread;
  const auto start = std::chrono::steady_clock::now();
  EXPECT_TRUE(thread.PostAfter(kDelay, [&] { done.set_value(); }));
  done.get_future().wait();
  EXPECT_GE(std::chrono::steady_clock::now() - start, kDelay);
  thread.PostAfter(std::chrono::hours(1), [] { FAIL(); });
  EXPECT_TRUE(thread.Stop());
  EXPECT_FALSE(thread.PostAfter(kDelay, [] { FAIL(); }));
}

TEST(BackgroundThreadTest, AbandonsATaskThatHangs) {
  auto hang = std::make_shared<std::promise<void>>();
  const auto ended = std::make_shared<std::promise<void>>();
  BackgroundThread thread;
  thread.Post([future = std::make_shared<std::future<void>>(hang->get_future()),
               ended] {
    future->wait();
    ended->set_value();
  });
  EXPECT_FALSE(thread.Stop(std::chrono::milliseconds(10)));
  EXPECT_FALSE(thread.Stop());
  hang->set_value();
  ended->get_future().wait();
}

}  // namespace
}  // namespace lmserve
