// SPDX-License-Identifier: Apache-2.0
//
// Tests of a store on a file system that hangs, as when the server of a network
// file system is gone.

#include <atomic>
#include <chrono>
#include <filesystem>
#include <functional>
#include <future>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model_store/model_store.h"
#include "model_store/publish.h"
#include "model_store/store_directory.h"
#include "tests/model_store/waiting.h"
#include "tests/testing/named_obstacle.h"
#include "tests/testing/ngram_models.h"
#include "tests/testing/temporary_directory.h"

namespace lmserve {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;
using Clock = std::chrono::steady_clock;

constexpr char kHangs[] =
    "its directory: expected an answer within 4 s, found none: the file "
    "system hangs";

class HangingDiskTest : public testing::Test {
 protected:
  HangingDiskTest() {
    Publish("m");
    options_.poll = milliseconds(10);
    options_.disk_patience = std::chrono::seconds(4);
    options_.open_patience = milliseconds(300);
    options_.on_disk_work = [obstacle = obstacle_](const std::string& name) {
      obstacle->Pass(name);
    };
  }
  ~HangingDiskTest() override { obstacle_->RemoveAll(); }

  void Open() {
    store_ = ModelStore::Open(directory_.path(), options_).value();
  }

  void Publish(const std::string& name) const {
    PublishTinyModel(directory_.path(), name);
  }

  absl::Status Load(const std::string& name, uint64_t version) {
    return Wait([&](auto done) { store_->Load(name, version, done); });
  }
  absl::Status Unload(const std::string& name, uint64_t version) {
    return Wait([&](auto done) { store_->Unload(name, version, done); });
  }
  absl::Status SetAlias(const std::string& name, const std::string& alias,
                        uint64_t version) {
    return Wait([&](auto done) {
      store_->SetAlias(name, alias, version, std::nullopt, done);
    });
  }

  bool IsServed(const std::string& spec) {
    return WaitUntil(*store_, [&] { return store_->Get(spec).ok(); });
  }

  // Returns "NAME: REASON" for everything that was refused.
  std::vector<std::string> Refused() const {
    std::vector<std::string> list;
    for (const ModelStore::Refused& refused : store_->refused()) {
      list.push_back(
          absl::StrCat(refused.name, ": ", refused.reason.message()));
    }
    return list;
  }

  const TemporaryDirectory directory_;
  const std::shared_ptr<NamedObstacle> obstacle_ =
      std::make_shared<NamedObstacle>();
  StoreOptions options_;
  std::unique_ptr<ModelStore> store_;
};

TEST_F(HangingDiskTest, AModelHoldsUpNoOther) {
  Open();
  obstacle_->Add("m");
  obstacle_->WaitForOne("m");
  Publish("m");
  Publish("other");
  EXPECT_TRUE(IsServed("other"));
  Publish("other");
  EXPECT_TRUE(IsServed("other@2"));
  EXPECT_EQ(Load("other", 1), absl::OkStatus());
  EXPECT_EQ(SetAlias("other", "stable", 1), absl::OkStatus());
  EXPECT_EQ(SetAlias("other", "stable", 2), absl::OkStatus());
  EXPECT_EQ(Unload("other", 1), absl::OkStatus());
  EXPECT_TRUE(store_->Get("m@1").ok());
  // It is said once, and m goes on when the file system does.
  ASSERT_TRUE(WaitUntil(*store_, [&] { return !store_->refused().empty(); }));
  EXPECT_THAT(Refused(), ElementsAre(absl::StrCat("m: ", kHangs)));
  EXPECT_FALSE(store_->Get("m@2").ok());
  obstacle_->RemoveAll();
  EXPECT_TRUE(IsServed("m@2"));
  EXPECT_TRUE(WaitUntil(*store_, [&] { return store_->refused().empty(); }));
}

TEST_F(HangingDiskTest, ChangesOfTheModelFailInTime) {
  Open();
  obstacle_->Add("m");
  const auto start = Clock::now();
  const auto expected =
      absl::DeadlineExceededError(absl::StrCat("m: ", kHangs));
  EXPECT_EQ(Load("m", 1), expected);
  EXPECT_EQ(SetAlias("m", "stable", 1), expected);
  EXPECT_LT(Clock::now() - start, std::chrono::seconds(10));
  EXPECT_EQ(Unload("m", 1), absl::OkStatus());  // requires no file
  obstacle_->RemoveAll();
  EXPECT_TRUE(WaitUntil(*store_, [&] { return store_->refused().empty(); }));
  EXPECT_EQ(Load("m", 1), absl::OkStatus());
  EXPECT_THAT(ReadAliases(directory_.path(), "m").value(), IsEmpty());
}

// The write cannot be taken back once it has begun.
TEST_F(HangingDiskTest, AnAliasThatIsBeingWrittenMayMoveLater) {
  options_.poll = milliseconds(0);
  const auto works = std::make_shared<std::atomic<int>>(0);
  options_.on_disk_work = [works,
                           obstacle = obstacle_](const std::string& name) {
    if (name == "m" && ++*works == 2) obstacle->Pass("write");
  };
  Open();
  *works = 0;  // the next ones: find the version, write the alias
  obstacle_->Add("write");
  EXPECT_EQ(SetAlias("m", "stable", 1),
            absl::DeadlineExceededError(
                absl::StrCat("m: ", kHangs, "; the alias may move later")));
  EXPECT_FALSE(store_->Get("m@stable").ok());
  obstacle_->RemoveAll();
  EXPECT_TRUE(IsServed("m@stable"));
  EXPECT_THAT(ReadAliases(directory_.path(), "m").value(),
              ElementsAre(Pair("stable", 1)));
}

TEST_F(HangingDiskTest, TheStoreDirectoryHoldsUpNoAdministrator) {
  Publish("other");
  Publish("other");
  Open();
  obstacle_->Add("");
  ASSERT_TRUE(WaitUntil(*store_, [&] { return !store_->refused().empty(); }));
  EXPECT_THAT(Refused(), ElementsAre(absl::StrCat(": ", kHangs)));
  EXPECT_EQ(Load("other", 1), absl::OkStatus());
  EXPECT_EQ(SetAlias("m", "stable", 1), absl::OkStatus());
  EXPECT_TRUE(store_->Get("m@stable").ok());
  obstacle_->RemoveAll();
  Publish("third");
  EXPECT_TRUE(IsServed("third"));
  EXPECT_TRUE(WaitUntil(*store_, [&] { return store_->refused().empty(); }));
}

TEST_F(HangingDiskTest, OpenReturnsWithoutWhatHangs) {
  Publish("other");
  obstacle_->Add("m");
  Open();
  EXPECT_TRUE(IsServed("other"));
  EXPECT_FALSE(store_->Get("m").ok());
  obstacle_->RemoveAll();
  EXPECT_TRUE(IsServed("m"));
}

TEST_F(HangingDiskTest, OpenReturnsWithoutAStoreThatHangs) {
  obstacle_->Add("");
  Open();
  EXPECT_THAT(store_->List(), IsEmpty());
  obstacle_->RemoveAll();
  EXPECT_TRUE(IsServed("m"));
}

TEST_F(HangingDiskTest, OpenCanBeCanceled) {
  options_.open_patience = std::chrono::hours(1);
  obstacle_->Add("");
  options_.is_cancelled = [&] { return obstacle_->waiting("") > 0; };
  EXPECT_TRUE(absl::IsCancelled(
      ModelStore::Open(directory_.path(), options_).status()));
}

TEST_F(HangingDiskTest, StopDoesNotWaitForIt) {
  options_.disk_patience = std::chrono::hours(1);
  Open();
  obstacle_->Add("m");
  std::promise<absl::Status> set;
  store_->SetAlias("m", "stable", 1, std::nullopt,
                   [&](const auto& status) { set.set_value(status); });
  obstacle_->WaitForOne("m");
  const auto start = Clock::now();
  EXPECT_FALSE(store_->Stop());
  EXPECT_LT(Clock::now() - start, std::chrono::seconds(5));
  EXPECT_TRUE(absl::IsUnavailable(set.get_future().get()));
}

// However many calls there are, and however long it hangs.
TEST_F(HangingDiskTest, ADirectoryHoldsUpOneThread) {
  const auto threads = [] {
    const std::filesystem::directory_iterator all("/proc/self/task");
    return std::distance(begin(all), end(all));
  };
  options_.poll = milliseconds(1);
  Open();
  obstacle_->Add("m");
  obstacle_->WaitForOne("m");
  const auto before = threads();
  for (int i = 0; i < 50; ++i) {
    EXPECT_FALSE(Load("m", 1).ok());
  }
  EXPECT_LE(threads(), before + 1);
  EXPECT_EQ(obstacle_->waiting("m"), 1);
}

}  // namespace
}  // namespace lmserve
