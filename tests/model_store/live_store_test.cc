// SPDX-License-Identifier: Apache-2.0
//
// Tests of a store whose directory changes while it serves.

#include <fcntl.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model_store/model_store.h"
#include "model_store/publish.h"
#include "model_store/reranker.h"
#include "model_store/self_test.h"
#include "model_store/store_directory.h"
#include "tests/model_store/version_files.h"
#include "tests/model_store/waiting.h"
#include "tests/testing/neural_models.h"
#include "tests/testing/ngram_models.h"
#include "tests/testing/sanitizers.h"
#include "tests/testing/temporary_directory.h"

namespace lmserve {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;
using testing::SizeIs;
using testing::StartsWith;

class LiveStoreTest : public testing::Test {
 protected:
  void Open(const StoreOptions& options = {}) {
    store_ = ModelStore::Open(directory_.path(), options).value();
  }

  uint64_t PublishModel() const {
    return PublishTinyModel(directory_.path(), "m");
  }
  void PublishTimes(int times) const {
    for (int i = 0; i < times; ++i) PublishModel();
  }

  // Publishes a version to another store and returns its directory.
  std::string MakeElsewhere() {
    PublishTinyModel(elsewhere_.path(), "m");
    return elsewhere_.File("m/1");
  }

  void CopyTo(const std::string& from, const std::string& version) const {
    std::filesystem::copy(from, directory_.File(version),
                          std::filesystem::copy_options::recursive);
  }

  void AliasOnDisk(const std::string& alias, uint64_t version) const {
    const absl::Status status =
        lmserve::SetAlias(directory_.path(), "m", alias, version);
    ASSERT_TRUE(status.ok()) << status;
  }

  absl::Status Refresh() {
    return Wait([&](auto done) { store_->Refresh(done); });
  }
  absl::Status Load(uint64_t version) {
    return Wait([&](auto done) { store_->Load("m", version, done); });
  }
  absl::Status Unload(uint64_t version) {
    return Wait([&](auto done) { store_->Unload("m", version, done); });
  }
  absl::Status SetAlias(const std::string& alias, uint64_t version,
                        std::optional<uint64_t> expected = std::nullopt) {
    return Wait([&](auto done) {
      store_->SetAlias("m", alias, version, expected, done);
    });
  }

  // Returns "VERSION ALIAS..." for each loaded version, "*" after the default.
  std::vector<std::string> Loaded() const {
    std::vector<std::string> list;
    for (const ModelStore::Entry& entry : store_->List()) {
      list.push_back(
          absl::StrCat(entry.handle->version(), entry.is_default ? "*" : ""));
      for (const std::string& alias : entry.aliases) {
        absl::StrAppend(&list.back(), " ", alias);
      }
    }
    return list;
  }

  // Returns "VERSION: REASON" for everything that was refused.
  std::vector<std::string> Refused() const {
    std::vector<std::string> list;
    for (const ModelStore::Refused& refused : store_->refused()) {
      list.push_back(
          absl::StrCat(refused.version, ": ", refused.reason.ToString()));
    }
    return list;
  }

  std::map<std::string, uint64_t> AliasesOnDisk() const {
    return ReadAliases(directory_.path(), "m").value();
  }

  // Publishes a reranker with the members m@VERSION.
  void PublishReranker(const std::vector<uint64_t>& members,
                       absl::string_view name = "reranker") const {
    lm::v1::Reranker reranker;
    for (uint64_t member : members) {
      reranker.add_members()->set_model(absl::StrCat("m@", member));
      reranker.mutable_members()->rbegin()->set_feature(
          absl::StrCat("m", member));
    }
    const std::string json = ToJson(reranker);
    NewVersion version;
    version.family = std::string(kRerankerFamily);
    version.files = {{std::string(kRerankerFile), json}};
    Publish(directory_.path(), name, version).value();
  }

  const TemporaryDirectory directory_;
  const TemporaryDirectory elsewhere_;
  std::unique_ptr<ModelStore> store_;
};

TEST_F(LiveStoreTest, ANewVersionReplacesTheOldOne) {
  PublishModel();
  Open();
  const ModelHandle old = store_->Get("m").value();
  PublishModel();
  EXPECT_TRUE(Refresh().ok());
  EXPECT_THAT(Loaded(), ElementsAre("2*"));
  EXPECT_EQ(old->version(), 1u);
  const std::vector<std::string> texts = {"the cat is small"};
  EXPECT_EQ(MakeSelfTest(old->model(), texts).SerializeAsString(),
            MakeSelfTest(store_->Get("m").value()->model(), texts)
                .SerializeAsString());
}

TEST_F(LiveStoreTest, TheDirectoryIsWatched) {
  Open({.poll = std::chrono::milliseconds(2)});
  EXPECT_THAT(Loaded(), IsEmpty());
  for (uint64_t version = 1; version <= 3; ++version) {
    PublishModel();
    EXPECT_TRUE(WaitUntil(*store_, [&] {
      const auto handle = store_->Get("m");
      return handle.ok() && (*handle)->version() == version;
    }));
  }
  AliasOnDisk("stable", 2);
  EXPECT_TRUE(WaitUntil(*store_, [&] { return store_->Get("m@stable").ok(); }));
  std::filesystem::remove_all(directory_.File("m"));
  EXPECT_TRUE(WaitUntil(*store_, [&] { return store_->List().empty(); }));
}

TEST_F(LiveStoreTest, EveryLookupSucceedsWhileVersionsChange) {
  PublishModel();
  Open({.poll = std::chrono::milliseconds(1)});
  const lm::v1::SelfTest expected = MakeSelfTest(
      store_->Get("m").value()->model(), std::vector<std::string>{"the cat"});
  std::atomic<bool> over = false;
  std::vector<int> wrong(4);
  std::vector<std::thread> threads;
  threads.reserve(wrong.size());
  for (int& count : wrong) {
    threads.emplace_back([&] {
      uint64_t last = 1;
      while (!over) {
        const absl::StatusOr<ModelHandle> handle = store_->Get("m");
        count += !handle.ok() || (*handle)->version() < last ||
                 !RunSelfTest((*handle)->model(), expected).ok();
        if (handle.ok()) last = (*handle)->version();
      }
    });
  }
  for (int i = 0; i < 5; ++i) PublishModel();
  EXPECT_TRUE(WaitUntil(
      *store_, [&] { return store_->Get("m").value()->version() == 6; }));
  over = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(wrong, testing::Each(0));
}

// A way to damage a new version, and part of the reason that is reported.
struct BrokenCase {
  std::string name;
  std::function<void(const std::string& directory)> damage;
  std::string reason;
};

void FlipABit(const std::string& path) {
  std::string bytes = ReadBytes(path);
  bytes[bytes.size() / 2] ^= 1;
  WriteBytes(path, bytes);
}

class BrokenVersionTest : public LiveStoreTest,
                          public testing::WithParamInterface<BrokenCase> {};

TEST_P(BrokenVersionTest, ReplacesNothingUntilItIsComplete) {
  const std::string good = MakeElsewhere();
  PublishModel();
  AliasOnDisk("stable", 1);
  Open();
  CopyTo(good, "m/2");
  GetParam().damage(directory_.File("m/2"));
  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE(Refresh().ok());
    EXPECT_THAT(Loaded(), ElementsAre("1* stable"));
    EXPECT_THAT(Refused(), ElementsAre(HasSubstr(GetParam().reason)));
  }
  EXPECT_THAT(Load(2).ToString(),
              AllOf(HasSubstr("DATA_LOSS: m@2: "), HasSubstr(GetParam().reason),
                    Not(HasSubstr(directory_.path()))));
  EXPECT_THAT(SetAlias("stable", 2).ToString(), HasSubstr(GetParam().reason));
  EXPECT_THAT(AliasesOnDisk(), ElementsAre(Pair("stable", 1)));
  EXPECT_THAT(Loaded(), ElementsAre("1* stable"));
  std::filesystem::remove_all(directory_.File("m/2"));
  CopyTo(good, "m/2");
  EXPECT_TRUE(Refresh().ok());
  EXPECT_THAT(Loaded(), ElementsAre("1 stable", "2*"));
  EXPECT_THAT(Refused(), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(
    Cases, BrokenVersionTest,
    testing::Values(BrokenCase{"Empty",
                               [](const std::string& directory) {
                                 std::filesystem::remove_all(directory);
                                 std::filesystem::create_directory(directory);
                               },
                               "manifest.json"},
                    BrokenCase{"HalfCopied",
                               [](const std::string& directory) {
                                 std::filesystem::remove(directory +
                                                         "/ngram.bin");
                               },
                               "ngram.bin"},
                    BrokenCase{"Truncated",
                               [](const std::string& directory) {
                                 BreakVersion(directory);
                               },
                               "vocabulary.txt': size"},
                    BrokenCase{"BitFlipped",
                               [](const std::string& directory) {
                                 FlipABit(directory + "/ngram.bin");
                               },
                               "ngram.bin': SHA-256"},
                    BrokenCase{"WrongSelfTest",
                               [](const std::string& directory) {
                                 std::string bytes =
                                     ReadBytes(directory + "/selftest.json");
                                 const size_t number = bytes.find("-0.");
                                 bytes.replace(number, 3, "-7.");
                                 ForgeFile(directory, "selftest.json", bytes);
                               },
                               "self-test 0"}),
    [](const testing::TestParamInfo<BrokenCase>& info) {
      return info.param.name;
    });

TEST_F(LiveStoreTest, AVersionCopiedFileByFileIsServedOnceComplete) {
  const std::string good = MakeElsewhere();
  PublishModel();
  Open();
  std::filesystem::create_directory(directory_.File("m/2"));
  for (const char* file :
       {"manifest.json", "vocabulary.txt", "selftest.json", "ngram.bin"}) {
    EXPECT_TRUE(Refresh().ok());
    EXPECT_THAT(Loaded(), ElementsAre("1*"));
    EXPECT_THAT(Refused(), SizeIs(1));
    CopyTo(absl::StrCat(good, "/", file), absl::StrCat("m/2/", file));
  }
  EXPECT_TRUE(Refresh().ok());
  EXPECT_THAT(Loaded(), ElementsAre("2*"));
  EXPECT_THAT(Refused(), IsEmpty());
}

TEST_F(LiveStoreTest, AVersionThatIsBeingCopiedIsIncompleteAndNotRefused) {
  const std::string good = MakeElsewhere();
  PublishModel();
  StoreOptions options;
  options.incomplete_patience = std::chrono::hours(1);
  Open(options);
  std::filesystem::create_directory(directory_.File("m/2"));
  for (const char* file :
       {"manifest.json", "vocabulary.txt", "selftest.json", "ngram.bin"}) {
    EXPECT_TRUE(Refresh().ok());
    EXPECT_THAT(Loaded(), ElementsAre("1*"));
    EXPECT_THAT(Refused(), IsEmpty());
    ASSERT_THAT(store_->served()->incomplete, SizeIs(1));
    EXPECT_EQ(store_->served()->incomplete[0].version, 2u);
    EXPECT_THAT(std::string(store_->served()->incomplete[0].reason.message()),
                StartsWith("file '"));
    CopyTo(absl::StrCat(good, "/", file), absl::StrCat("m/2/", file));
  }
  EXPECT_TRUE(Refresh().ok());
  EXPECT_THAT(Loaded(), ElementsAre("2*"));
  EXPECT_THAT(Refused(), IsEmpty());
  EXPECT_THAT(store_->served()->incomplete, IsEmpty());
}

TEST_F(LiveStoreTest, ADamagedVersionIsRefusedAtOnce) {
  PublishTimes(2);
  FlipABit(directory_.File("m/2/ngram.bin"));
  StoreOptions options;
  options.incomplete_patience = std::chrono::hours(1);
  Open(options);
  EXPECT_THAT(Refused(), ElementsAre(HasSubstr("SHA-256")));
  EXPECT_THAT(store_->served()->incomplete, IsEmpty());
}

// Records each change of what is listed of version 2.
TEST_F(LiveStoreTest, AnIncompleteVersionThatDoesNotChangeIsRefused) {
  PublishTimes(2);
  const std::string path = directory_.File("m/2/ngram.bin");
  const std::string bytes = ReadBytes(path);
  WriteBytes(path, bytes.substr(0, 1));
  StoreOptions options;
  options.poll = std::chrono::milliseconds(5);
  options.incomplete_patience = std::chrono::milliseconds(500);
  Open(options);
  std::vector<std::string> states;
  const auto reaches = [&](size_t count) {
    return WaitUntil(*store_, [&] {
      const auto served = store_->served();
      const std::string state = !served->refused.empty()      ? "refused"
                                : !served->incomplete.empty() ? "incomplete"
                                                              : "";
      if (!state.empty() && (states.empty() || states.back() != state)) {
        states.push_back(state);
      }
      return states.size() >= count;
    });
  };
  EXPECT_TRUE(reaches(2));
  WriteBytes(path, bytes.substr(0, 2));  // the copy goes on
  EXPECT_TRUE(reaches(4));
  EXPECT_THAT(states,
              ElementsAre("incomplete", "refused", "incomplete", "refused"));
  WriteBytes(path, bytes);
  EXPECT_TRUE(WaitUntil(*store_, [&] {
    return store_->served()->models.at("m").versions.count(2) == 1;
  }));
  EXPECT_THAT(Refused(), IsEmpty());
}

TEST_F(LiveStoreTest, AVersionThatIsGoneIsUnloaded) {
  PublishTimes(2);
  AliasOnDisk("latest", 2);
  Open();
  const ModelHandle held = store_->Get("m@2").value();
  std::filesystem::remove_all(directory_.File("m/2"));
  EXPECT_TRUE(Refresh().ok());
  EXPECT_THAT(Loaded(), ElementsAre("1*"));
  EXPECT_THAT(Refused(),
              ElementsAre("2: NOT_FOUND: alias 'latest': the version "
                          "does not exist"));
  EXPECT_FALSE(MakeSelfTest(held->model(), std::vector<std::string>{"a"})
                   .cases()
                   .empty());
  std::filesystem::remove_all(directory_.File("m"));
  EXPECT_TRUE(Refresh().ok());
  EXPECT_THAT(Loaded(), IsEmpty());
  EXPECT_THAT(Refused(), IsEmpty());
}

TEST_F(LiveStoreTest, AStoreThatCannotBeReadKeepsServing) {
  PublishModel();
  Open();
  std::filesystem::rename(directory_.path(), elsewhere_.File("moved"));
  EXPECT_FALSE(Refresh().ok());
  EXPECT_THAT(Loaded(), ElementsAre("1*"));
  EXPECT_THAT(Refused(), ElementsAre(StartsWith("0: NOT_FOUND: the store: ")));
  std::filesystem::rename(elsewhere_.File("moved"), directory_.path());
  EXPECT_TRUE(Refresh().ok());
  EXPECT_THAT(Refused(), IsEmpty());
}

TEST_F(LiveStoreTest, ADamagedLoadedVersionIsStillServed) {
  const std::string good = MakeElsewhere();
  PublishModel();
  Open();
  std::filesystem::remove_all(directory_.File("m/1"));
  CopyTo(good, "m/1");
  BreakVersion(directory_.File("m/1"));
  EXPECT_TRUE(Refresh().ok());
  EXPECT_THAT(Loaded(), ElementsAre("1*"));
  EXPECT_THAT(Refused(), ElementsAre(HasSubstr("vocabulary.txt': size")));
}

TEST_F(LiveStoreTest, AliasesFollowTheDisk) {
  PublishTimes(3);
  AliasOnDisk("stable", 1);
  Open();
  EXPECT_THAT(Loaded(), ElementsAre("1 stable", "3*"));
  AliasOnDisk("stable", 2);
  EXPECT_TRUE(Refresh().ok());
  EXPECT_THAT(Loaded(), ElementsAre("2 stable", "3*"));
  WriteBytes(directory_.File("m/aliases.json"), "{");
  EXPECT_TRUE(Refresh().ok());
  EXPECT_THAT(Loaded(), ElementsAre("2 stable", "3*"));
  EXPECT_THAT(Refused(), ElementsAre(HasSubstr("aliases.json")));
  std::filesystem::remove(directory_.File("m/aliases.json"));
  EXPECT_TRUE(Refresh().ok());
  EXPECT_THAT(Loaded(), ElementsAre("3*"));
  EXPECT_THAT(Refused(), IsEmpty());
}

TEST_F(LiveStoreTest, AnAliasOnDiskMovesOnlyToAGoodVersion) {
  PublishTimes(3);
  AliasOnDisk("stable", 1);
  Open();
  BreakVersion(directory_.File("m/2"));
  AliasOnDisk("stable", 2);
  EXPECT_TRUE(Refresh().ok());
  EXPECT_THAT(Loaded(), ElementsAre("1 stable", "3*"));
  EXPECT_THAT(Refused(), ElementsAre(HasSubstr("2: DATA_LOSS: ")));
}

TEST_F(LiveStoreTest, TheNewestGoodOnesAreKept) {
  PublishTimes(4);
  BreakVersion(directory_.File("m/3"));
  Open({.keep = {.newest = 2}});
  EXPECT_THAT(Loaded(), ElementsAre("2", "4*"));
  PublishModel();
  EXPECT_TRUE(Refresh().ok());
  EXPECT_THAT(Loaded(), ElementsAre("4", "5*"));
  EXPECT_THAT(Refused(), IsEmpty());  // version 3 is no longer wanted
}

TEST_F(LiveStoreTest, AllAreKept) {
  PublishTimes(2);
  Open({.keep = {.newest = VersionPolicy::kAll}});
  PublishModel();
  EXPECT_TRUE(Refresh().ok());
  EXPECT_THAT(Loaded(), ElementsAre("1", "2", "3*"));
}

TEST_F(LiveStoreTest, ListedOnesAreKept) {
  PublishTimes(3);
  PublishTinyModel(directory_.path(), "other");
  AliasOnDisk("stable", 1);
  Open({.keep = {.newest = 1, .listed = {{"m", {2, 7}}, {"none", {1}}}}});
  EXPECT_THAT(Loaded(), ElementsAre("1 stable", "2*"));
  EXPECT_THAT(Refused(),
              ElementsAre("7: NOT_FOUND: the version does not exist",
                          "1: NOT_FOUND: the version does not exist"));
  std::filesystem::rename(directory_.File("m/3"), directory_.File("m/7"));
  EXPECT_TRUE(Refresh().ok());
  EXPECT_THAT(Loaded(), ElementsAre("1 stable", "2", "7*"));
}

TEST_F(LiveStoreTest, LoadedVersionsStay) {
  PublishTimes(3);
  Open();
  EXPECT_TRUE(Load(1).ok());
  EXPECT_THAT(Loaded(), ElementsAre("1", "3*"));
  PublishModel();
  EXPECT_TRUE(Refresh().ok());
  EXPECT_THAT(Loaded(), ElementsAre("1", "4*"));
  EXPECT_TRUE(Unload(1).ok());
  EXPECT_TRUE(Refresh().ok());
  EXPECT_THAT(Loaded(), ElementsAre("4*"));
}

TEST_F(LiveStoreTest, UnloadedVersionsStayUnloaded) {
  PublishTimes(2);
  Open();
  EXPECT_TRUE(Unload(2).ok());
  EXPECT_TRUE(Refresh().ok());
  EXPECT_THAT(Loaded(), IsEmpty());
  AliasOnDisk("latest", 2);
  EXPECT_TRUE(Refresh().ok());
  EXPECT_THAT(Loaded(), IsEmpty());
  EXPECT_THAT(Refused(),
              ElementsAre(HasSubstr("'latest': the version was unloaded")));
  EXPECT_TRUE(Load(2).ok());
  EXPECT_TRUE(Refresh().ok());
  EXPECT_THAT(Loaded(), ElementsAre("2* latest"));
}

TEST_F(LiveStoreTest, ANewerVersionThanTheUnloadedIsServed) {
  PublishTimes(2);
  Open();
  EXPECT_TRUE(Unload(2).ok());
  PublishModel();
  EXPECT_TRUE(Refresh().ok());
  EXPECT_THAT(Loaded(), ElementsAre("3*"));
}

TEST_F(LiveStoreTest, LoadWithoutAVersionLoadsTheNewest) {
  PublishModel();
  Open();
  PublishModel();
  EXPECT_TRUE(Load(0).ok());
  EXPECT_EQ(store_->Get("m").value()->version(), 2u);
}

TEST_F(LiveStoreTest, LoadAndUnloadReportWhatIsMissing) {
  PublishTimes(2);
  AliasOnDisk("stable", 1);
  Open();
  EXPECT_THAT(Load(7).ToString(),
              HasSubstr("NOT_FOUND: model 'm' has no version or alias '7'"));
  EXPECT_THAT(Wait([&](auto done) { store_->Load("n", 1, done); }).ToString(),
              HasSubstr("NOT_FOUND: model 'n' is not in the store; found: m"));
  EXPECT_TRUE(absl::IsInvalidArgument(
      Wait([&](auto done) { store_->Load("../m", 1, done); })));
  EXPECT_THAT(Unload(7).ToString(), HasSubstr("NOT_FOUND: "));
  EXPECT_TRUE(absl::IsInvalidArgument(Unload(0)));
  EXPECT_THAT(Unload(1).ToString(),
              HasSubstr("FAILED_PRECONDITION: m@1 cannot be unloaded: move its "
                        "aliases first: stable"));
  EXPECT_THAT(Loaded(), ElementsAre("1 stable", "2*"));
}

TEST_F(LiveStoreTest, SetAliasLoadsAndMovesInOneStep) {
  PublishTimes(3);
  Open();
  EXPECT_TRUE(SetAlias("stable", 1).ok());
  EXPECT_THAT(Loaded(), ElementsAre("1 stable", "3*"));
  EXPECT_TRUE(SetAlias("stable", 2, 1).ok());
  EXPECT_THAT(Loaded(), ElementsAre("2 stable", "3*"));
  EXPECT_THAT(AliasesOnDisk(), ElementsAre(Pair("stable", 2)));
  EXPECT_TRUE(SetAlias("canary", 3, 0).ok());
  EXPECT_TRUE(SetAlias("stable", 0, 2).ok());
  EXPECT_THAT(Loaded(), ElementsAre("3* canary"));
  EXPECT_THAT(AliasesOnDisk(), ElementsAre(Pair("canary", 3)));
}

TEST_F(LiveStoreTest, SetAliasThatFailsMovesNothing) {
  PublishTimes(4);
  AliasOnDisk("stable", 1);
  BreakVersion(directory_.File("m/3"));
  Open();
  EXPECT_EQ(SetAlias("stable", 2, 3),
            absl::FailedPreconditionError("alias 'stable' of model 'm': "
                                          "expected version 3, found version "
                                          "1"));
  EXPECT_EQ(SetAlias("canary", 2, 3),
            absl::FailedPreconditionError("alias 'canary' of model 'm': "
                                          "expected version 3, found none"));
  EXPECT_TRUE(absl::IsFailedPrecondition(SetAlias("stable", 0, 3)));
  EXPECT_TRUE(absl::IsDataLoss(SetAlias("stable", 3)));
  EXPECT_TRUE(absl::IsNotFound(SetAlias("stable", 7)));
  EXPECT_TRUE(absl::IsNotFound(SetAlias("canary", 0)));
  EXPECT_TRUE(absl::IsInvalidArgument(SetAlias("12", 2)));
  EXPECT_THAT(Loaded(), ElementsAre("1 stable", "4*"));
  EXPECT_THAT(AliasesOnDisk(), ElementsAre(Pair("stable", 1)));
}

// A directory in place of the file makes writing fail, even for root.
TEST_F(LiveStoreTest, SetAliasThatCannotBeWrittenMovesNothing) {
  PublishTimes(3);
  Open();
  EXPECT_TRUE(Unload(3).ok());
  std::filesystem::create_directories(directory_.File("m/aliases.json/x"));
  for (uint64_t version : {2, 3}) {
    const absl::Status status = SetAlias("stable", version);
    EXPECT_FALSE(status.ok());
    EXPECT_THAT(status.ToString(), Not(HasSubstr(directory_.path())));
    EXPECT_THAT(Loaded(), IsEmpty());
  }
}

TEST_F(LiveStoreTest, ConcurrentSetAliasLosesNoChange) {
  PublishTimes(2);
  Open();
  std::vector<std::thread> threads;
  std::vector<absl::Status> inside(8), outside(8);
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back(
        [&, i] { inside[i] = SetAlias(absl::StrCat("inside", i), 1); });
    threads.emplace_back([&, i] {
      outside[i] = lmserve::SetAlias(directory_.path(), "m",
                                     absl::StrCat("outside", i), 2);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(inside, testing::Each(absl::OkStatus()));
  EXPECT_THAT(outside, testing::Each(absl::OkStatus()));
  EXPECT_THAT(AliasesOnDisk(), SizeIs(16));
  EXPECT_TRUE(Refresh().ok());
  EXPECT_THAT(store_->GetEntry("m@1")->aliases, SizeIs(8));
  EXPECT_THAT(store_->GetEntry("m@2")->aliases, SizeIs(8));
}

// If several threads expect the same old version, only one moves the alias.
TEST_F(LiveStoreTest, OnlyOneOfConcurrentSwapsMovesTheAlias) {
  PublishTimes(2);
  AliasOnDisk("stable", 1);
  Open();
  std::atomic<int> moved = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] { moved += SetAlias("stable", 2, 1).ok(); });
    threads.emplace_back([&] {
      moved += lmserve::SetAlias(directory_.path(), "m", "stable", 2, 1).ok();
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(moved, 1);
}

TEST_F(LiveStoreTest, ChangesAfterStopAreUnavailable) {
  PublishModel();
  Open();
  store_->Stop();
  EXPECT_TRUE(absl::IsUnavailable(Refresh()));
  EXPECT_TRUE(absl::IsUnavailable(Load(1)));
  EXPECT_THAT(Loaded(), ElementsAre("1*"));
}

TEST_F(LiveStoreTest, SnapshotsListWhatIsLoading) {
  PublishModel();
  Open();
  std::vector<std::string> seen;
  store_->OnChange([&] {
    for (const auto& [name, version] : store_->served()->loading) {
      seen.push_back(absl::StrCat(name, "@", version));
    }
  });
  PublishModel();
  EXPECT_TRUE(Refresh().ok());
  EXPECT_TRUE(Refresh().ok());  // nothing has changed
  store_->OnChange(nullptr);
  EXPECT_THAT(seen, ElementsAre("m@2"));
  EXPECT_THAT(store_->served()->loading, IsEmpty());
}

// Uses a network, whose weights are on the heap; an n-gram model only maps its
// files.
class ManyLoadsTest : public LiveStoreTest {
 protected:
  static constexpr int kLoads = 200;

  void PublishNetwork() {
    std::string words;
    for (int i = 0; i < 4000; ++i) absl::StrAppend(&words, "w", i, " ");
    RecurrentNetworkOptions options;
    options.stack.units = 64;
    options.embedding = 64;
    const TestModel model = RecurrentTestModel(VocabularyOf(words + "\n"),
                                               options, Precision::kFloat);
    NewVersion version;
    version.family = model.family;
    version.files = model.Files();
    version.self_test = {"w1 w2"};
    Publish(directory_.path(), "m", version).value();
  }

  static uint64_t ResidentBytes() {
    uint64_t size, resident;
    std::ifstream("/proc/self/statm") >> size >> resident;
    return resident * 4096;
  }

  static size_t Descriptors() {
    const std::filesystem::directory_iterator all("/proc/self/fd");
    return std::distance(begin(all), end(all));
  }

  void LoadAndUnload(int times) {
    for (int i = 0; i < times; ++i) {
      ASSERT_TRUE(Unload(1).ok());
      ASSERT_TRUE(Load(1).ok());
    }
  }
};

TEST_F(ManyLoadsTest, LeakNoMemoryAndNoDescriptors) {
  PublishNetwork();
  Open();
  EXPECT_GT(store_->Get("m").value()->file_bytes(), 2u << 20);
  LoadAndUnload(10);
  const size_t descriptors = Descriptors();
  const uint64_t bytes = ResidentBytes();
  LoadAndUnload(kLoads);
  EXPECT_EQ(Descriptors(), descriptors);
  if (!IsSanitized()) {
    EXPECT_LT(ResidentBytes(), bytes + (16u << 20));
  }
}

// The versions that a loaded reranker names stay loaded.
TEST_F(LiveStoreTest, MembersOfRerankersAreKept) {
  PublishTimes(3);
  PublishReranker({2});
  Open();
  EXPECT_THAT(Loaded(), ElementsAre("2", "3*", "1*"));  // 1* is the reranker
  PublishReranker({1, 3});
  // The old reranker stays until the members of the new one are loaded.
  ASSERT_TRUE(Refresh().ok());
  EXPECT_THAT(Loaded(), ElementsAre("1", "2", "3*", "1", "2*"));
  ASSERT_TRUE(Refresh().ok());
  ASSERT_TRUE(Refresh().ok());
  EXPECT_THAT(Loaded(), ElementsAre("1", "3*", "2*"));
}

// A reranker that lacks a member cannot answer, and replaces none that can.
TEST_F(LiveStoreTest, ARerankerWithoutAMemberIsNotServed) {
  PublishTimes(2);
  PublishReranker({1, 2});
  Open();
  EXPECT_THAT(Loaded(), ElementsAre("1", "2*", "1*"));
  PublishReranker({2, 9});
  ASSERT_TRUE(Refresh().ok());
  EXPECT_THAT(Loaded(), ElementsAre("1", "2*", "1*"));
  EXPECT_THAT(Refused(), ElementsAre("2: FAILED_PRECONDITION: its member "
                                     "m@9 is not loaded"));
  std::filesystem::remove_all(directory_.File("m/1"));
  ASSERT_TRUE(Refresh().ok());
  EXPECT_THAT(Loaded(), ElementsAre("2*"));
  EXPECT_THAT(Refused(), ElementsAre("1: FAILED_PRECONDITION: its member "
                                     "m@1 is not loaded",
                                     "2: FAILED_PRECONDITION: its member "
                                     "m@9 is not loaded"));
}

TEST_F(LiveStoreTest, TheDefaultAliasOutlivesPublishingAndRestarts) {
  PublishTimes(2);
  Open();
  EXPECT_THAT(Loaded(), ElementsAre("2*"));
  ASSERT_TRUE(SetAlias("default", 1).ok());
  EXPECT_THAT(Loaded(), ElementsAre("1* default", "2"));
  PublishModel();
  ASSERT_TRUE(Refresh().ok());
  EXPECT_THAT(Loaded(), ElementsAre("1* default", "3"));
  Open();
  EXPECT_THAT(Loaded(), ElementsAre("1* default", "3"));
  ASSERT_TRUE(SetAlias("default", 0).ok());
  EXPECT_THAT(Loaded(), ElementsAre("3*"));
}

// The alias loads the reranker in the same refresh in which the member would
// otherwise be released as an old version.
TEST_F(LiveStoreTest, AMemberStaysLoadedWhenAnAliasLoadsItsReranker) {
  PublishModel();
  Open();
  const ModelHandle member = store_->Get("m@1").value();
  PublishReranker({1}, "m");
  AliasOnDisk("stable", 2);
  ASSERT_TRUE(Refresh().ok());
  EXPECT_EQ(store_->Get("m@1").value(), member);
}

TEST_F(LiveStoreTest, AMemberCannotBeUnloadedBeforeItsReranker) {
  PublishTimes(2);
  PublishReranker({1});
  Open();
  EXPECT_EQ(Unload(1), absl::FailedPreconditionError(
                           "m@1 cannot be unloaded: unload its reranker first: "
                           "reranker@1"));
  const absl::Status status =
      Wait([&](auto done) { store_->Unload("reranker", 1, std::move(done)); });
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_TRUE(Unload(1).ok());
  EXPECT_THAT(Loaded(), ElementsAre("2*"));
}

// Members may be published after their reranker.
TEST_F(LiveStoreTest, MembersMayComeLater) {
  PublishReranker({1, 2});
  Open();
  EXPECT_THAT(Loaded(), IsEmpty());
  PublishTimes(2);
  ASSERT_TRUE(Refresh().ok());
  EXPECT_THAT(Loaded(), ElementsAre("1", "2*", "1*"));  // 1* is the reranker
}

// A reranker cannot be a member, not even of itself.
TEST_F(LiveStoreTest, ARerankerThatNamesItselfCanBeUnloaded) {
  lm::v1::Reranker reranker;
  reranker.add_members()->set_model("reranker@1");
  reranker.mutable_members(0)->set_feature("self");
  const std::string json = ToJson(reranker);
  NewVersion version;
  version.family = std::string(kRerankerFamily);
  version.files = {{std::string(kRerankerFile), json}};
  Publish(directory_.path(), "reranker", version).value();
  Open();
  const absl::Status status =
      Wait([&](auto done) { store_->Unload("reranker", 1, std::move(done)); });
  EXPECT_TRUE(status.ok()) << status;
}

// Holds up the loads of some versions, like a file system that hangs.
class Obstacle {
 public:
  // Makes loads of a version hang. If `by_check`, they call their check all the
  // time, like a load that reads a large file.
  void Add(uint64_t version, bool by_check) {
    const std::lock_guard<std::mutex> lock(mutex_);
    hanging_[version] = by_check;
  }

  void RemoveAll() {
    const std::lock_guard<std::mutex> lock(mutex_);
    hanging_.clear();
    changed_.notify_all();
  }

  // Returns after RemoveAll(), or with an error if the check returns one.
  absl::Status Pass(uint64_t version, const LoadOptions& options) {
    std::unique_lock<std::mutex> lock(mutex_);
    while (hanging_.count(version) > 0) {
      changed_.wait_for(lock, std::chrono::milliseconds(1));
      if (hanging_.count(version) == 0 || !hanging_.at(version)) continue;
      absl::Status status = options.check();
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<uint64_t, bool> hanging_;
};

class HangingLoadTest : public LiveStoreTest {
 protected:
  ~HangingLoadTest() override { obstacle_->RemoveAll(); }

  StoreOptions Options() const {
    StoreOptions options;
    options.poll = std::chrono::milliseconds(10);
    options.load_patience = std::chrono::milliseconds(100);
    options.open_patience = std::chrono::milliseconds(100);
    options.load =
        [obstacle = obstacle_](
            auto store, auto name, uint64_t version,
            const LoadOptions& load_options) -> absl::StatusOr<ModelHandle> {
      absl::Status status = obstacle->Pass(version, load_options);
      if (!status.ok()) return status;
      return LoadModel(store, name, version, load_options);
    };
    return options;
  }

  bool IsServed(const std::string& spec) {
    return WaitUntil(*store_, [&] { return store_->Get(spec).ok(); });
  }

  const std::shared_ptr<Obstacle> obstacle_ = std::make_shared<Obstacle>();
};

TEST_F(HangingLoadTest, StopsNeitherOtherModelsNorAdministrators) {
  PublishModel();
  Open(Options());
  obstacle_->Add(2, /*by_check=*/false);
  PublishModel();
  ASSERT_TRUE(
      WaitUntil(*store_, [&] { return !store_->served()->loading.empty(); }));
  std::promise<absl::Status> loaded;
  store_->Load("m", 2, [&](const auto& status) { loaded.set_value(status); });
  PublishTinyModel(directory_.path(), "other");
  EXPECT_TRUE(IsServed("other"));
  EXPECT_TRUE(SetAlias("stable", 1).ok());
  EXPECT_THAT(Loaded(), ElementsAre("1* stable", "1*"));
  EXPECT_THAT(store_->served()->loading, ElementsAre(Pair("m", 2)));
  obstacle_->RemoveAll();
  EXPECT_TRUE(loaded.get_future().get().ok());
  EXPECT_THAT(Loaded(), ElementsAre("1 stable", "2*", "1*"));
  EXPECT_THAT(store_->served()->loading, IsEmpty());
}

TEST_F(HangingLoadTest, FailsAfterItsTime) {
  PublishModel();
  StoreOptions options = Options();
  options.load_timeout = std::chrono::milliseconds(500);
  Open(options);
  for (bool by_check : {true, false}) {
    obstacle_->Add(2, by_check);
    if (by_check) PublishModel();
    const absl::Status status = Load(2);
    EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
    EXPECT_THAT(std::string(status.message()),
                StartsWith("m@2: loading: expected an end after at most 0.5 "
                           "s"));
    EXPECT_THAT(Loaded(), ElementsAre("1*"));
  }
  // It is tried again after a pause, although the files are the same.
  obstacle_->RemoveAll();
  EXPECT_TRUE(IsServed("m@2"));
  EXPECT_THAT(Refused(), IsEmpty());
}

TEST_F(HangingLoadTest, AnOlderVersionIsNotLoadedMeanwhile) {
  PublishTimes(3);
  obstacle_->Add(3, /*by_check=*/false);
  Open(Options());  // returns though version 3 hangs
  EXPECT_THAT(Loaded(), IsEmpty());
  EXPECT_THAT(store_->served()->loading, ElementsAre(Pair("m", 3)));
  obstacle_->RemoveAll();
  EXPECT_TRUE(IsServed("m@3"));
  EXPECT_THAT(Loaded(), ElementsAre("3*"));
}

// No moment without a version, although the one that was served is gone.
TEST_F(HangingLoadTest, WhatIsGoneStaysUntilItsReplacementIsLoaded) {
  PublishTimes(2);
  AliasOnDisk("stable", 2);
  Open(Options());
  EXPECT_THAT(Loaded(), ElementsAre("2* stable"));
  obstacle_->Add(1, /*by_check=*/false);
  AliasOnDisk("stable", 1);
  std::filesystem::remove_all(directory_.File("m/2"));
  ASSERT_TRUE(
      WaitUntil(*store_, [&] { return !store_->served()->loading.empty(); }));
  EXPECT_THAT(Loaded(), ElementsAre("2* stable"));
  obstacle_->RemoveAll();
  ASSERT_TRUE(IsServed("m@1"));
  EXPECT_TRUE(WaitUntil(*store_, [&] { return !store_->Get("m@2").ok(); }));
  EXPECT_THAT(Loaded(), ElementsAre("1* stable"));
}

// Only later loads must not slow down the threads that answer requests.
TEST_F(HangingLoadTest, FirstLoadsHaveThePriorityOfTheCaller) {
  PublishModel();
  StoreOptions options = Options();
  std::map<uint64_t, int> priorities;  // by version
  options.load = [&](auto store, auto name, uint64_t version,
                     const LoadOptions& load_options) {
    priorities[version] = getpriority(PRIO_PROCESS, gettid());
    return LoadModel(store, name, version, load_options);
  };
  const int own = getpriority(PRIO_PROCESS, gettid());
  Open(options);
  PublishModel();
  ASSERT_TRUE(IsServed("m@2"));
  store_.reset();
  EXPECT_THAT(priorities, ElementsAre(Pair(1, own), Pair(2, 19)));
}

TEST_F(HangingLoadTest, StopDoesNotWaitForIt) {
  PublishModel();
  obstacle_->Add(1, /*by_check=*/false);
  Open(Options());
  std::promise<absl::Status> loaded;
  store_->Load("m", 1, [&](const auto& status) { loaded.set_value(status); });
  const auto start = std::chrono::steady_clock::now();
  EXPECT_FALSE(store_->Stop());
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
  EXPECT_TRUE(absl::IsUnavailable(loaded.get_future().get()));
}

TEST_F(HangingLoadTest, StopCancelsALoadThatChecks) {
  PublishModel();
  Open(Options());
  obstacle_->Add(2, /*by_check=*/true);
  PublishModel();
  ASSERT_TRUE(
      WaitUntil(*store_, [&] { return !store_->served()->loading.empty(); }));
  EXPECT_TRUE(store_->Stop());
}

TEST_F(HangingLoadTest, OpenCanBeCancelled) {
  PublishModel();
  obstacle_->Add(1, /*by_check=*/true);
  StoreOptions options = Options();
  int asked = 0;
  options.is_cancelled = [&] { return ++asked > 2; };
  EXPECT_TRUE(
      absl::IsCancelled(ModelStore::Open(directory_.path(), options).status()));
}

// While the files change, the load of the old ones is of no use.
TEST_F(HangingLoadTest, ChangedFilesAreLoadedInstead) {
  PublishModel();
  Open(Options());
  obstacle_->Add(2, /*by_check=*/true);
  PublishModel();
  ASSERT_TRUE(
      WaitUntil(*store_, [&] { return !store_->served()->loading.empty(); }));
  BreakVersion(directory_.File("m/2"));
  obstacle_->RemoveAll();
  ASSERT_TRUE(WaitUntil(*store_, [&] { return !store_->refused().empty(); }));
  EXPECT_THAT(Refused(), ElementsAre(HasSubstr("vocabulary.txt': size")));
  EXPECT_THAT(Loaded(), ElementsAre("1*"));
}

// Everyone who can read a directory can lock it.
TEST_F(LiveStoreTest, LockOfAnotherProcessHoldsUpNothingElse) {
  PublishTimes(2);
  Open();
  const int directory =
      open(directory_.File("m").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  ASSERT_EQ(flock(directory, LOCK_EX), 0);
  std::promise<absl::Status> set;
  store_->SetAlias("m", "stable", 1, std::nullopt,
                   [&](const auto& status) { set.set_value(status); });
  PublishTinyModel(directory_.path(), "other");
  EXPECT_TRUE(Refresh().ok());
  EXPECT_TRUE(store_->Get("other").ok());
  EXPECT_THAT(AliasesOnDisk(), IsEmpty());
  close(directory);
  EXPECT_TRUE(set.get_future().get().ok());
  EXPECT_THAT(AliasesOnDisk(), ElementsAre(Pair("stable", 1)));
  EXPECT_TRUE(store_->Get("m@stable").ok());
}

TEST_F(LiveStoreTest, LockThatIsNotReleased) {
  PublishModel();
  const int directory =
      open(directory_.File("m").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  ASSERT_EQ(flock(directory, LOCK_EX), 0);
  const absl::Status status =
      lmserve::SetAlias(directory_.path(), "m", "stable", 1, std::nullopt,
                        std::chrono::milliseconds(20));
  EXPECT_EQ(status,
            absl::UnavailableError("model 'm': another process holds the lock "
                                   "of its directory"));
  close(directory);
}

// What is seen when a file system that was mounted on the store is unmounted:
// another directory, without models.
TEST_F(LiveStoreTest, StoreThatVanishesUnloadsNothing) {
  const std::string path = directory_.File("store");
  PublishTinyModel(path, "m");
  store_ = ModelStore::Open(path).value();
  std::filesystem::rename(path, directory_.File("unmounted"));
  EXPECT_FALSE(Refresh().ok());
  EXPECT_THAT(Loaded(), ElementsAre("1*"));
  std::filesystem::create_directory(path);
  const absl::Status status = Refresh();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(Loaded(), ElementsAre("1*"));
  EXPECT_THAT(Refused(), ElementsAre("0: FAILED_PRECONDITION: the store: "
                                     "expected models, found another directory "
                                     "without any: what was loaded stays"));
  std::filesystem::remove(path);
  std::filesystem::rename(directory_.File("unmounted"), path);
  EXPECT_TRUE(Refresh().ok());
  EXPECT_THAT(Loaded(), ElementsAre("1*"));
  EXPECT_THAT(Refused(), IsEmpty());
  // In the same directory, removing the last model is a decision.
  std::filesystem::remove_all(path + "/m");
  EXPECT_TRUE(Refresh().ok());
  EXPECT_THAT(Loaded(), IsEmpty());
}

// The same for a model whose directory is a mount point.
TEST_F(LiveStoreTest, ModelThatVanishesUnloadsNothing) {
  PublishModel();
  Open();
  std::filesystem::rename(directory_.File("m"), directory_.File(".unmounted"));
  std::filesystem::create_directory(directory_.File("m"));
  EXPECT_TRUE(Refresh().ok());
  EXPECT_THAT(Loaded(), ElementsAre("1*"));
  EXPECT_THAT(Refused(), ElementsAre(HasSubstr("found another directory")));
  std::filesystem::remove(directory_.File("m"));
  std::filesystem::rename(directory_.File(".unmounted"), directory_.File("m"));
  EXPECT_TRUE(Refresh().ok());
  EXPECT_THAT(Refused(), IsEmpty());
  std::filesystem::remove_all(directory_.File("m/1"));
  EXPECT_TRUE(Refresh().ok());
  EXPECT_THAT(Loaded(), IsEmpty());
}

}  // namespace
}  // namespace lmserve
