// SPDX-License-Identifier: Apache-2.0
#include "model_store/remove_versions.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model_store/loaded_version.h"
#include "model_store/manifest.h"
#include "model_store/publish.h"
#include "model_store/reranker.h"
#include "model_store/store_directory.h"
#include "tests/model_store/child.h"
#include "tests/model_store/version_files.h"
#include "tests/testing/ngram_models.h"
#include "tests/testing/temporary_directory.h"

namespace lmserve {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;

class RemoveVersionsTest : public testing::Test {
 protected:
  void PublishModels(int count) {
    for (int i = 0; i < count; ++i) PublishTinyModel(store_.path(), "m");
  }

  // Publishes a reranker "r" with the members m@VERSION.
  void PublishReranker(const std::vector<int>& versions) {
    lm::v1::Reranker reranker;
    for (int version : versions) {
      lm::v1::RerankerMember& member = *reranker.add_members();
      member.set_model(absl::StrCat("m@", version));
      member.set_feature(absl::StrCat("m", version));
    }
    const std::string json = ToJson(reranker);
    NewVersion version;
    version.family = std::string(kRerankerFamily);
    version.files[std::string(kRerankerFile)] = json;
    ASSERT_TRUE(Publish(store_.path(), "r", version).ok());
  }

  VersionRemoval Remove(const RemoveOptions& options) {
    VersionRemoval removal;
    const absl::Status status =
        RemoveVersions(store_.path(), "m", options, &removal);
    EXPECT_TRUE(status.ok()) << status;
    return removal;
  }

  std::vector<uint64_t> Versions() const {
    return ListVersions(store_.path(), "m");
  }

  // The names of what is in the directory of the model, sorted.
  std::vector<std::string> Names() const {
    std::vector<std::string> names;
    for (const auto& entry :
         std::filesystem::directory_iterator(store_.File("m"))) {
      names.push_back(entry.path().filename());
    }
    std::sort(names.begin(), names.end());
    return names;
  }

  const TemporaryDirectory store_;
};

std::vector<std::string> Describe(const VersionRemoval& removal) {
  std::vector<std::string> left;
  for (const VersionRemoval::Left& version : removal.left) {
    left.push_back(absl::StrCat(version.version, ": ", version.reason));
  }
  return left;
}

TEST_F(RemoveVersionsTest, TheNewestStay) {
  PublishModels(12);
  const VersionRemoval removal = Remove({.keep = 3});
  EXPECT_THAT(removal.removed, ElementsAre(1, 2, 3, 4, 5, 6, 7, 8, 9));
  EXPECT_THAT(removal.left, IsEmpty());
  EXPECT_THAT(Names(), ElementsAre("10", "11", "12"));
  EXPECT_THAT(Remove({.keep = 3}).removed, IsEmpty());
  EXPECT_THAT(Remove({.keep = 30}).removed, IsEmpty());
  EXPECT_THAT(Remove({.keep = 1}).removed, ElementsAre(10, 11));
  // The number of a removed version is not used again.
  EXPECT_EQ(PublishTinyModel(store_.path(), "m"), 13u);
}

TEST_F(RemoveVersionsTest, ADryRunChangesNothing) {
  PublishModels(3);
  ASSERT_TRUE(SetAlias(store_.path(), "m", "stable", 1).ok());
  const VersionRemoval removal = Remove({.force = true, .dry_run = true});
  EXPECT_THAT(removal.removed, ElementsAre(1, 2));
  EXPECT_THAT(removal.removed_aliases, ElementsAre("stable"));
  EXPECT_THAT(Names(), ElementsAre("1", "2", "3", "aliases.json"));
  EXPECT_THAT(*ReadAliases(store_.path(), "m"), ElementsAre(Pair("stable", 1)));
}

TEST_F(RemoveVersionsTest, WhatIsNamedStays) {
  PublishModels(7);
  PublishReranker({2, 3});
  PublishReranker({3, 7});
  ASSERT_TRUE(SetAlias(store_.path(), "m", "default", 4).ok());
  ASSERT_TRUE(SetAlias(store_.path(), "m", "stable", 3).ok());
  const VersionRemoval removal = Remove({.keep = 2});
  EXPECT_THAT(removal.removed, ElementsAre(1, 5));
  EXPECT_THAT(Describe(removal),
              ElementsAre("2: a member of r@1",
                          "3: alias stable, a member of r@1, a member of r@2",
                          "4: alias default"));
  EXPECT_THAT(Versions(), ElementsAre(2, 3, 4, 6, 7));
}

TEST_F(RemoveVersionsTest, ForceRemovesThemAndTheirAliases) {
  PublishModels(4);
  PublishReranker({2});
  ASSERT_TRUE(SetAlias(store_.path(), "m", "default", 1).ok());
  ASSERT_TRUE(SetAlias(store_.path(), "m", "canary", 4).ok());
  const VersionRemoval removal = Remove({.keep = 1, .force = true});
  EXPECT_THAT(removal.removed, ElementsAre(1, 2, 3));
  EXPECT_THAT(removal.removed_aliases, ElementsAre("default"));
  EXPECT_THAT(removal.left, IsEmpty());
  EXPECT_THAT(*ReadAliases(store_.path(), "m"), ElementsAre(Pair("canary", 4)));
}

// A version that is being copied into place is not removed, and is not one of
// those that are kept: a store never loses its last good version.
TEST_F(RemoveVersionsTest, VersionsThatAreNotCompleteStay) {
  PublishModels(5);
  BreakVersion(store_.File("m/5"));
  std::filesystem::remove(store_.File("m/4/manifest.json"));
  std::filesystem::remove(store_.File("m/2/ngram.bin"));
  std::filesystem::create_directories(store_.File("m/.publish-abc"));
  const VersionRemoval removal = Remove({.keep = 1, .force = true});
  EXPECT_THAT(removal.removed, ElementsAre(1));
  EXPECT_THAT(
      Describe(removal),
      ElementsAre(HasSubstr("2: not complete: ngram.bin: "),
                  HasSubstr("4: not complete: manifest.json: "),
                  testing::ContainsRegex("5: not complete: vocabulary.txt: "
                                         "expected [0-9]+ bytes, found")));
  EXPECT_THAT(Names(), ElementsAre(".publish-abc", "2", "3", "4", "5"));
}

TEST_F(RemoveVersionsTest, ALinkIsRemovedButNotWhatItNames) {
  PublishModels(2);
  std::filesystem::rename(store_.File("m/1"), store_.File("elsewhere"));
  std::filesystem::create_directory_symlink(store_.File("elsewhere"),
                                            store_.File("m/1"));
  EXPECT_THAT(Remove({}).removed, ElementsAre(1));
  EXPECT_THAT(Names(), ElementsAre("2"));
  EXPECT_TRUE(std::filesystem::exists(store_.File("elsewhere/ngram.bin")));
}

TEST_F(RemoveVersionsTest, Errors) {
  PublishModels(2);
  VersionRemoval removal;
  const auto remove = [&](const std::string& name, size_t keep) {
    return RemoveVersions(store_.path(), name, {.keep = keep}, &removal);
  };
  EXPECT_THAT(remove("n", 1).ToString(), HasSubstr("NOT_FOUND: model 'n'"));
  EXPECT_TRUE(absl::IsInvalidArgument(remove("m@1", 1)));
  EXPECT_TRUE(absl::IsInvalidArgument(remove("../m", 1)));
  EXPECT_THAT(remove("m", 0).ToString(), HasSubstr("keep: expected at least"));
  // What the aliases name cannot be known.
  WriteBytes(store_.File("m/aliases.json"), "{");
  EXPECT_TRUE(absl::IsDataLoss(remove("m", 1)));
  EXPECT_THAT(removal.removed, IsEmpty());
  EXPECT_THAT(Versions(), ElementsAre(1, 2));
}

// What a call that was killed has renamed but not deleted.
TEST_F(RemoveVersionsTest, LeftoversAreDeleted) {
  PublishModels(2);
  std::filesystem::create_directories(store_.File("m/.removed-1/deep"));
  WriteBytes(store_.File("m/.removed-1/deep/file"), "bytes");
  EXPECT_THAT(Remove({.dry_run = true}).removed, ElementsAre(1));
  EXPECT_THAT(Names(), ElementsAre(".removed-1", "1", "2"));
  EXPECT_THAT(Remove({}).removed, ElementsAre(1));
  EXPECT_THAT(Names(), ElementsAre("2"));
}

// The versions that stay are complete whenever the process is killed.
TEST_F(RemoveVersionsTest, KilledAtAnyMoment) {
  std::mt19937 random(1);
  for (int round = 0; round < 30; ++round) {
    PublishModels(6);
    Child child([&] {
      VersionRemoval removal;
      (void)RemoveVersions(store_.path(), "m", {}, &removal);
    });
    // A random moment to kill the child; no event is awaited.
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 3000));
    child.Kill();
    child.Wait();
    for (uint64_t version : Versions()) {
      const absl::Status status =
          LoadModel(store_.path(), "m", version).status();
      EXPECT_TRUE(status.ok()) << version << ": " << status;
    }
  }
  Remove({});
  EXPECT_EQ(Names().size(), 1u);
}

TEST_F(RemoveVersionsTest, WhileOthersPublish) {
  std::vector<std::thread> publishers;
  publishers.reserve(3);
  for (int i = 0; i < 3; ++i) {
    publishers.emplace_back([&] { PublishModels(8); });
  }
  VersionRemoval removal;
  for (bool published = false; !published;) {
    const std::vector<uint64_t> versions = Versions();
    published = !versions.empty() && versions.back() == 24;
    if (versions.empty()) continue;
    const absl::Status status =
        RemoveVersions(store_.path(), "m", {.keep = 2}, &removal);
    EXPECT_TRUE(status.ok()) << status;
  }
  for (std::thread& publisher : publishers) publisher.join();
  EXPECT_THAT(Names(), ElementsAre("23", "24"));
  EXPECT_TRUE(LoadModel(store_.path(), "m", 24).ok());
}

}  // namespace
}  // namespace lmserve
