// SPDX-License-Identifier: Apache-2.0
#include "model_store/store_loader.h"

#include <chrono>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model_store/loaded_version.h"
#include "model_store/publish.h"
#include "tests/testing/ngram_models.h"
#include "tests/testing/temporary_directory.h"

namespace lmserve {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Key;
using testing::StartsWith;

// A loader whose work on the disk waits until the test runs it.
class StoreLoaderTest : public testing::Test {
 protected:
  StoreLoaderTest()
      : store_(directory_.File("store")),
        loader_({.directory = store_,
                 .policy = {},
                 .follow_links = false,
                 .disk_patience = std::chrono::seconds(1)},
                {.load = [this](const std::string& name, uint64_t version,
                                const std::string&)
                     -> std::optional<absl::StatusOr<ModelHandle>> {
                   ++loads_;
                   before_load_();
                   if (are_loads_slow_) return std::nullopt;
                   return LoadModel(store_, name, version);
                 },
                 .run =
                     [this](const std::string&, StoreLoader::DiskTask task) {
                       work_.push_back(std::move(task));
                       return uint64_t{0};
                     },
                 .cancel = [](const std::string&, uint64_t) { return false; },
                 .hangs = [](const std::string&) { return false; },
                 .publish =
                     [this](std::shared_ptr<const ServedModels> served) {
                       served_ = std::move(served);
                     }}) {}

  void RunNext() {
    const StoreLoader::DiskTask task = std::move(work_.front());
    work_.pop_front();
    task()();
  }

  void RunAll() {
    while (!work_.empty()) RunNext();
  }

  // Ends a sweep and returns its status.
  absl::Status Sweep() {
    const auto sweep = loader_.BeginSweep(false);
    RunAll();
    return loader_.EndOf(*sweep).value();
  }

  // Returns "NAME: REASON" of each model that was refused.
  std::vector<std::string> Refused() const {
    std::vector<std::string> list;
    for (const ServedModels::Refused& refused : served_->refused) {
      if (refused.name.empty()) continue;
      list.push_back(
          absl::StrCat(refused.name, ": ", refused.reason.message()));
    }
    return list;
  }

  // Publishes the next version of m and lets the alias stand for it.
  void PublishStable(uint64_t version) {
    ASSERT_EQ(PublishTinyModel(store_, "m"), version);
    ASSERT_TRUE(SetAlias(store_, "m", "stable", version).ok());
  }

  void Remove(uint64_t version) {
    std::filesystem::remove_all(absl::StrCat(store_, "/m/", version));
  }

  // Returns the version of m that the alias stands for; 0 for none.
  uint64_t Stable() const {
    const auto model = served_->models.find("m");
    if (model == served_->models.end()) return 0;
    const auto alias = model->second.aliases.find("stable");
    return alias == model->second.aliases.end() ? 0 : alias->second;
  }

  const TemporaryDirectory directory_;
  const std::string store_;
  std::deque<StoreLoader::DiskTask> work_;
  std::shared_ptr<const ServedModels> served_;
  int loads_ = 0;
  std::function<void()> before_load_ = [] {};
  bool are_loads_slow_ = false;  // until it is false again
  StoreLoader loader_;
};

// The store can be moved, or its file system unmounted, after it was listed and
// while its models are scanned one after the other.
TEST_F(StoreLoaderTest, AModelIsNotGoneBecauseTheStoreIs) {
  PublishTinyModel(store_, "m");
  PublishTinyModel(store_, "n");
  ASSERT_TRUE(Sweep().ok());
  ASSERT_EQ(served_->models.size(), 2);
  const std::string away = directory_.File("away");
  for (const bool is_replaced : {false, true}) {
    loader_.BeginSweep(false);
    RunNext();  // lists the store
    std::filesystem::rename(store_, away);
    if (is_replaced) std::filesystem::create_directory(store_);
    RunAll();  // scans m and n
    EXPECT_EQ(served_->models.size(), 2);
    EXPECT_THAT(Refused(), ElementsAre(StartsWith("m: "), StartsWith("n: ")));
    EXPECT_FALSE(Sweep().ok());
    EXPECT_EQ(served_->models.size(), 2);
    if (is_replaced) {
      EXPECT_THAT(Refused(), Contains("m: the store: expected the directory "
                                      "that has m, found another one without "
                                      "it: what was loaded stays"));
      std::filesystem::remove(store_);
    }
    std::filesystem::rename(away, store_);
    EXPECT_TRUE(Sweep().ok());
    EXPECT_THAT(Refused(), IsEmpty());
  }
  // In the directory that had it, a missing model is gone.
  std::filesystem::remove_all(store_ + "/m");
  EXPECT_TRUE(Sweep().ok());
  EXPECT_EQ(served_->models.size(), 1);
  EXPECT_THAT(Refused(), IsEmpty());
}

// A program that keeps only the newest versions can remove one, with the one
// that an alias stood for before, while the server is about to load it. The
// alias must not stand for nothing until the next scan.
TEST_F(StoreLoaderTest, AnAliasWaitsForWhatReplacesARemovedVersion) {
  PublishStable(1);
  ASSERT_TRUE(Sweep().ok());
  EXPECT_EQ(Stable(), 1u);
  PublishStable(2);
  Remove(1);
  loader_.BeginSweep(false);
  RunNext();  // lists the store
  RunNext();  // scans m, which has a new version
  ASSERT_EQ(work_.size(), 1u);
  const std::function<void()> load = work_.front()();  // scans m with its stamp
  work_.pop_front();
  PublishStable(3);
  Remove(2);
  load();  // version 2, which is gone
  EXPECT_EQ(Stable(), 1u);
  EXPECT_THAT(Refused(), IsEmpty());
  RunAll();
  EXPECT_EQ(Stable(), 3u);
  EXPECT_THAT(Refused(), IsEmpty());
  EXPECT_THAT(served_->models.at("m").versions, ElementsAre(Key(3)));
}

// The same if the failure is known before the result of a scan that still found
// the version.
TEST_F(StoreLoaderTest, AScanFromBeforeAFailureDoesNotConfirmIt) {
  PublishStable(1);
  ASSERT_TRUE(Sweep().ok());
  PublishStable(2);
  Remove(1);
  are_loads_slow_ = true;
  loader_.BeginSweep(false);
  RunAll();
  EXPECT_TRUE(loader_.IsLoading());
  loader_.BeginSweep(false);
  RunNext();  // lists the store
  ASSERT_EQ(work_.size(), 1u);
  const std::function<void()> scanned = work_.front()();  // finds version 2
  work_.pop_front();
  PublishStable(3);
  Remove(2);
  are_loads_slow_ = false;
  loader_.OnLoaded("m");  // version 2, which is gone
  EXPECT_EQ(Stable(), 1u);
  scanned();
  EXPECT_EQ(Stable(), 1u);
  EXPECT_THAT(Refused(), IsEmpty());
  RunAll();
  EXPECT_EQ(Stable(), 3u);
  EXPECT_THAT(Refused(), IsEmpty());
}

// The store can be away for just as long as a load needs to fail.
TEST_F(StoreLoaderTest, AVersionIsLoadedWhenTheStoreIsBack) {
  PublishStable(1);
  ASSERT_TRUE(Sweep().ok());
  PublishStable(2);
  const std::string away = directory_.File("away");
  bool is_first = true;
  before_load_ = [&] {
    if (std::exchange(is_first, false)) std::filesystem::rename(store_, away);
  };
  loader_.BeginSweep(false);
  while (is_first) RunNext();
  EXPECT_EQ(Stable(), 1u);
  before_load_ = [] {};
  std::filesystem::rename(away, store_);
  RunAll();
  EXPECT_EQ(Stable(), 2u);
  EXPECT_THAT(Refused(), IsEmpty());
}

// A version that someone copies changes all the time. It must not be loaded
// again and again until the next look at the store.
TEST_F(StoreLoaderTest, AVersionThatChangesIsNotLoadedWithoutEnd) {
  PublishTinyModel(store_, "m");
  ASSERT_TRUE(Sweep().ok());
  ASSERT_EQ(PublishTinyModel(store_, "m"), 2u);
  before_load_ = [this] {
    ASSERT_LT(loads_, 10);
    std::ofstream(store_ + "/m/2/manifest.json", std::ios::app) << "x";
  };
  loads_ = 0;
  ASSERT_TRUE(Sweep().ok());
  EXPECT_EQ(loads_, 2);
  EXPECT_THAT(Refused(), ElementsAre(StartsWith("m: ")));
  loads_ = 0;
  ASSERT_TRUE(Sweep().ok());
  EXPECT_EQ(loads_, 1);
  EXPECT_THAT(served_->models.at("m").versions, ElementsAre(Key(1)));
}

// A store can be replaced by another one, as by a new mount.
TEST_F(StoreLoaderTest, ModelsOfAnotherStoreReplaceThoseOfTheFirst) {
  PublishTinyModel(store_, "m");
  ASSERT_TRUE(Sweep().ok());
  PublishTinyModel(directory_.File("other"), "n");
  std::filesystem::rename(store_, directory_.File("away"));
  std::filesystem::rename(directory_.File("other"), store_);
  EXPECT_TRUE(Sweep().ok());
  EXPECT_THAT(served_->models, ElementsAre(Key("n")));
  EXPECT_THAT(Refused(), IsEmpty());
}

}  // namespace
}  // namespace lmserve
