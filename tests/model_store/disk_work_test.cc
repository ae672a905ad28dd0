// SPDX-License-Identifier: Apache-2.0
#include "model_store/disk_work.h"

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/named_obstacle.h"

namespace lmserve {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;

class DiskWorkTest : public testing::Test {
 protected:
  ~DiskWorkTest() override {
    obstacle_->RemoveAll();
    work_.Stop(std::chrono::seconds(60));
  }

  // Posts a task that passes the obstacle with the name of its key and then
  // appends `text` to done().
  uint64_t Post(const std::string& key, const std::string& text) {
    return work_.Post(key, [obstacle = obstacle_, done = done_, key, text] {
      obstacle->Pass(key);
      const std::lock_guard<std::mutex> lock(done->mutex);
      done->texts.push_back(text);
    });
  }

  std::vector<std::string> done() const {
    const std::lock_guard<std::mutex> lock(done_->mutex);
    return done_->texts;
  }

  // Ticks until a condition holds.
  void TickUntil(const std::function<bool()>& condition) {
    while (!condition()) {
      work_.Tick();
      std::this_thread::sleep_for(milliseconds(1));
    }
  }
  void TickUntilDone(size_t tasks) {
    TickUntil([&] { return done().size() == tasks; });
  }

  struct Done {
    std::mutex mutex;
    std::vector<std::string> texts;
  };

  const std::shared_ptr<NamedObstacle> obstacle_ =
      std::make_shared<NamedObstacle>();
  const std::shared_ptr<Done> done_ = std::make_shared<Done>();
  DiskWork work_;
};

TEST_F(DiskWorkTest, TasksOfAKeyRunInOrder) {
  std::vector<std::string> expected;
  for (int i = 0; i < 100; ++i) {
    Post("a", absl::StrCat(i));
    expected.push_back(absl::StrCat(i));
  }
  TickUntilDone(100);
  EXPECT_EQ(done(), expected);
  TickUntil([&] { return !work_.IsBusy(); });
  EXPECT_FALSE(work_.IsStalled(milliseconds(0)));
}

TEST_F(DiskWorkTest, AKeyThatHangsHoldsUpOnlyItself) {
  obstacle_->Add("hangs");
  Post("hangs", "1");
  Post("hangs", "2");
  Post("good", "3");
  Post("good", "4");
  TickUntilDone(2);
  EXPECT_THAT(done(), ElementsAre("3", "4"));
  EXPECT_TRUE(work_.IsStalled("hangs", milliseconds(1)));
  EXPECT_FALSE(work_.IsStalled("hangs", std::chrono::hours(1)));
  EXPECT_FALSE(work_.IsStalled("good", milliseconds(0)));
  EXPECT_TRUE(work_.IsStalled(milliseconds(1)));
  obstacle_->RemoveAll();
  TickUntilDone(4);
  EXPECT_THAT(done(), ElementsAre("3", "4", "1", "2"));
}

TEST_F(DiskWorkTest, TheNumberOfThreadsIsBounded) {
  constexpr int kMore = 5;
  std::vector<std::string> keys;
  for (int i = 0; i < DiskWork::kMostThreads + kMore; ++i) {
    keys.push_back(absl::StrCat("hangs", i));
    obstacle_->Add(keys.back());
    for (int j = 0; j < 3; ++j) Post(keys.back(), "");
  }
  const auto waiting = [&] {
    int sum = 0;
    for (const std::string& key : keys) sum += obstacle_->waiting(key);
    return sum;
  };
  TickUntil([&] { return waiting() == DiskWork::kMostThreads; });
  std::this_thread::sleep_for(2 * DiskWork::kPatience);
  work_.Tick();
  std::this_thread::sleep_for(milliseconds(10));
  EXPECT_EQ(waiting(), DiskWork::kMostThreads);
  for (const std::string& key : keys) {
    EXPECT_TRUE(work_.IsStalled(key, milliseconds(1))) << key;
  }
  obstacle_->RemoveAll();
  TickUntilDone(3 * keys.size());
}

TEST_F(DiskWorkTest, WhatHasNotBegunCanBeCanceled) {
  obstacle_->Add("a");
  const uint64_t first = Post("a", "1");
  const uint64_t second = Post("a", "2");
  Post("a", "3");
  const uint64_t other = Post("b", "4");
  obstacle_->WaitForOne("a");
  EXPECT_FALSE(work_.Cancel("a", first));
  EXPECT_TRUE(work_.Cancel("a", second));
  EXPECT_FALSE(work_.Cancel("a", second));
  EXPECT_FALSE(work_.Cancel("none", 1));
  EXPECT_TRUE(work_.Cancel("b", other));
  obstacle_->RemoveAll();
  TickUntil([&] { return !work_.IsBusy(); });
  EXPECT_THAT(done(), ElementsAre("1", "3"));
}

TEST_F(DiskWorkTest, StopAbandonsWhatHangs) {
  obstacle_->Add("a");
  Post("a", "1");
  Post("a", "2");
  Post("b", "3");
  obstacle_->WaitForOne("a");
  EXPECT_FALSE(work_.Stop(milliseconds(10)));
  Post("c", "4");
  obstacle_->RemoveAll();
  EXPECT_TRUE(work_.Stop(std::chrono::seconds(60)));
  EXPECT_THAT(done(), ElementsAre("1"));
}

}  // namespace
}  // namespace lmserve
