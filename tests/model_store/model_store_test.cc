// SPDX-License-Identifier: Apache-2.0
#include "model_store/model_store.h"

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model_store/model_name.h"
#include "model_store/publish.h"
#include "model_store/self_test.h"
#include "tests/model_store/version_files.h"
#include "tests/testing/ngram_models.h"
#include "tests/testing/temporary_directory.h"

namespace lmserve {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class ModelStoreTest : public testing::Test {
 protected:
  using Store = std::unique_ptr<const ModelStore>;

  void PublishTimes(const std::string& name, int times) const {
    for (int i = 0; i < times; ++i) PublishTinyModel(directory_.path(), name);
  }

  void SetAlias(const std::string& alias, uint64_t version) const {
    const absl::Status status =
        lmserve::SetAlias(directory_.path(), "m", alias, version);
    ASSERT_TRUE(status.ok()) << status;
  }

  Store Open() const { return ModelStore::Open(directory_.path()).value(); }

  // Returns the version that a name stands for, or 0.
  static uint64_t Version(const Store& store, absl::string_view spec) {
    const absl::StatusOr<ModelHandle> handle = store->Get(spec);
    return handle.ok() ? (*handle)->version() : 0;
  }

  static std::string Error(const Store& store, absl::string_view spec) {
    return store->Get(spec).status().ToString();
  }

  // Returns "NAME@VERSION ALIAS..." for each entry, "*" after a default
  // version.
  static std::vector<std::string> List(const Store& store) {
    std::vector<std::string> list;
    for (const ModelStore::Entry& entry : store->List()) {
      list.push_back(absl::StrCat(entry.handle->name(), "@",
                                  entry.handle->version(),
                                  entry.is_default ? "*" : ""));
      for (const std::string& alias : entry.aliases) {
        absl::StrAppend(&list.back(), " ", alias);
      }
    }
    return list;
  }

  const TemporaryDirectory directory_;
};

TEST_F(ModelStoreTest, NewestVersionOfEachModel) {
  PublishTimes("m", 2);
  PublishTimes("a", 1);
  const Store store = Open();
  EXPECT_EQ(Version(store, "m"), 2u);
  EXPECT_EQ(Version(store, "m@2"), 2u);
  EXPECT_EQ(Version(store, "a"), 1u);
  EXPECT_THAT(List(store), ElementsAre("a@1*", "m@2*"));
  EXPECT_THAT(store->refused(), IsEmpty());
}

TEST_F(ModelStoreTest, NewestIsByNumberNotByText) {
  PublishTimes("m", 2);
  std::filesystem::rename(directory_.File("m/1"), directory_.File("m/10"));
  EXPECT_EQ(Version(Open(), "m"), 10u);
}

TEST_F(ModelStoreTest, OlderVersionIsServedIfTheNewestIsBad) {
  PublishTimes("m", 4);
  BreakVersion(directory_.File("m/4"));
  BreakVersion(directory_.File("m/3"));
  const Store store = Open();
  EXPECT_EQ(Version(store, "m"), 2u);
  EXPECT_EQ(Version(store, "m@4"), 0u);
  EXPECT_THAT(List(store), ElementsAre("m@2*"));
  ASSERT_EQ(store->refused().size(), 2u);
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(store->refused()[i].name, "m");
    EXPECT_EQ(store->refused()[i].version, 4u - i);
    EXPECT_THAT(store->refused()[i].reason.ToString(),
                HasSubstr("DATA_LOSS: file 'vocabulary.txt': size"));
  }
}

TEST_F(ModelStoreTest, ModelWithoutAGoodVersionLeavesTheOthersAlone) {
  PublishTimes("bad", 1);
  PublishTimes("m", 1);
  BreakVersion(directory_.File("bad/1"));
  std::filesystem::create_directory(directory_.File("empty"));
  const Store store = Open();
  EXPECT_THAT(List(store), ElementsAre("m@1*"));
  EXPECT_EQ(store->refused().size(), 1u);
  EXPECT_THAT(Error(store, "bad"),
              HasSubstr("model 'bad' is not served (version 1: file "
                        "'vocabulary.txt': size: expected 44, found 43); "
                        "served: m"));
}

TEST_F(ModelStoreTest, AliasesKeepOlderVersions) {
  PublishTimes("m", 3);
  SetAlias("stable", 1);
  SetAlias("old", 1);
  SetAlias("latest", 3);
  const Store store = Open();
  EXPECT_EQ(Version(store, "m"), 3u);
  EXPECT_EQ(Version(store, "m@stable"), 1u);
  EXPECT_EQ(Version(store, "m@1"), 1u);
  EXPECT_EQ(Version(store, "m@2"), 0u);
  EXPECT_EQ(Version(store, "m@latest"), 3u);
  EXPECT_THAT(List(store), ElementsAre("m@1 old stable", "m@3* latest"));
  EXPECT_EQ(store->Get("m").value(), store->Get("m@latest").value());
  EXPECT_THAT(store->GetEntry("m@old")->aliases, ElementsAre("old", "stable"));
  EXPECT_FALSE(store->GetEntry("m@old")->is_default);
}

TEST_F(ModelStoreTest, AliasOfABadVersion) {
  PublishTimes("m", 2);
  SetAlias("stable", 1);
  BreakVersion(directory_.File("m/1"));
  const Store store = Open();
  EXPECT_EQ(Version(store, "m"), 2u);
  EXPECT_THAT(Error(store, "m@stable"),
              HasSubstr("model 'm' has no served version or alias 'stable'; "
                        "served: 2"));
  ASSERT_EQ(store->refused().size(), 1u);
  EXPECT_EQ(store->refused()[0].version, 1u);
}

TEST_F(ModelStoreTest, AliasOfARemovedVersion) {
  PublishTimes("m", 2);
  SetAlias("stable", 1);
  std::filesystem::remove_all(directory_.File("m/1"));
  const Store store = Open();
  EXPECT_EQ(Version(store, "m"), 2u);
  EXPECT_EQ(Version(store, "m@stable"), 0u);
  ASSERT_EQ(store->refused().size(), 1u);
  EXPECT_TRUE(absl::IsNotFound(store->refused()[0].reason));
  EXPECT_THAT(store->refused()[0].reason.ToString(),
              HasSubstr("alias 'stable'"));
}

// The alias "default" may be among the aliases that cannot be read, so NAME is
// not served as a version that it perhaps does not mean.
TEST_F(ModelStoreTest, BrokenAliasesAffectOnlyNamesWithoutAVersion) {
  PublishTimes("m", 1);
  WriteBytes(directory_.File("m/aliases.json"), "{");
  const Store store = Open();
  EXPECT_EQ(Version(store, "m@1"), 1u);
  EXPECT_EQ(store->Get("m").status(),
            absl::NotFoundError("the default version of model 'm' is unknown, "
                                "because its aliases cannot be read; served: "
                                "1"));
  ASSERT_EQ(store->refused().size(), 1u);
  EXPECT_EQ(store->refused()[0].name, "m");
  EXPECT_EQ(store->refused()[0].version, 0u);
  EXPECT_THAT(store->refused()[0].reason.ToString(),
              HasSubstr("DATA_LOSS: aliases.json: "));
}

TEST_F(ModelStoreTest, TheDefaultAliasSaysWhatANameMeans) {
  PublishTimes("m", 3);
  ASSERT_TRUE(lmserve::SetAlias(directory_.path(), "m", kDefaultAlias, 2).ok());
  const Store store = Open();
  EXPECT_THAT(List(store), ElementsAre("m@2* default", "m@3"));
  EXPECT_EQ(Version(store, "m"), 2u);
  EXPECT_EQ(FindVersion(directory_.path(), "m").value(), 2u);
  EXPECT_EQ(FindNewestVersion(directory_.path(), "m").value(), 3u);
}

// A name never stands silently for another version than the alias names.
TEST_F(ModelStoreTest, ADefaultVersionThatCannotBeLoadedIsNotReplaced) {
  PublishTimes("m", 2);
  ASSERT_TRUE(lmserve::SetAlias(directory_.path(), "m", kDefaultAlias, 1).ok());
  WriteBytes(directory_.File("m/1/manifest.json"), "{");
  const Store store = Open();
  EXPECT_EQ(Version(store, "m@2"), 2u);
  EXPECT_EQ(store->Get("m").status(),
            absl::NotFoundError("m@1, the default version of 'm', is not "
                                "served; served: 2"));
}

TEST_F(ModelStoreTest, LinksThatLeadNowhereAreReported) {
  PublishTimes("m", 1);
  std::filesystem::create_symlink("gone", directory_.File("m/2"));
  std::filesystem::create_symlink("gone", directory_.File("lost"));
  const Store store = Open();
  EXPECT_THAT(List(store), ElementsAre("m@1*"));
  ASSERT_EQ(store->refused().size(), 2u);
  EXPECT_EQ(store->refused()[0].name, "lost");
  EXPECT_EQ(store->refused()[0].version, 0u);
  EXPECT_THAT(store->refused()[0].reason.ToString(),
              HasSubstr("lost: No such file or directory"));
  EXPECT_EQ(store->refused()[1].name, "m");
  EXPECT_EQ(store->refused()[1].version, 2u);
  EXPECT_THAT(store->refused()[1].reason.ToString(),
              HasSubstr("model 'm' has no version 2 in the store"));
}

TEST_F(ModelStoreTest, HiddenDirectoriesAreIgnored) {
  PublishTimes("m", 1);
  std::filesystem::copy(directory_.File("m/1"),
                        directory_.File("m/.publish-x"));
  std::filesystem::copy(directory_.File("m"), directory_.File(".m"),
                        std::filesystem::copy_options::recursive);
  const Store store = Open();
  EXPECT_THAT(List(store), ElementsAre("m@1*"));
  EXPECT_THAT(store->refused(), IsEmpty());
}

TEST_F(ModelStoreTest, NotFoundListsWhatIsServed) {
  const Store empty = Open();
  EXPECT_THAT(Error(empty, "m"), HasSubstr("NOT_FOUND"));
  EXPECT_THAT(Error(empty, "m"), HasSubstr("served: none"));
  PublishTimes("m", 2);
  PublishTimes("a", 1);
  SetAlias("stable", 1);
  const Store store = Open();
  EXPECT_THAT(Error(store, "x"), HasSubstr("NOT_FOUND"));
  EXPECT_THAT(Error(store, "x"), HasSubstr("served: a, m"));
  EXPECT_THAT(Error(store, "m@7"), HasSubstr("served: 1, 2, stable"));
}

TEST_F(ModelStoreTest, NotFoundListsAtMostTwentyNames) {
  PublishTimes("m10", 1);
  for (int i = 11; i < 33; ++i) {
    std::filesystem::copy(directory_.File("m10"),
                          directory_.File(absl::StrCat("m", i)),
                          std::filesystem::copy_options::recursive);
  }
  const std::string error = Error(Open(), "x");
  EXPECT_THAT(error, HasSubstr("m10, m11, "));
  EXPECT_THAT(error, HasSubstr("m29 and 3 more"));
}

TEST_F(ModelStoreTest, InvalidNames) {
  PublishTimes("m", 1);
  const Store store = Open();
  for (absl::string_view spec : {"", "m@", "m@0", "../m", "m@a@b"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(store->Get(spec).status())) << spec;
  }
}

TEST_F(ModelStoreTest, HandleOutlivesStoreAndFiles) {
  PublishTimes("m", 1);
  Store store = Open();
  const ModelHandle handle = store->Get("m").value();
  const std::vector<std::string> texts = {"the cat is small"};
  const lm::v1::SelfTest expected = MakeSelfTest(handle->model(), texts);
  store.reset();
  std::filesystem::remove_all(directory_.path());
  const absl::Status status = RunSelfTest(handle->model(), expected);
  EXPECT_TRUE(status.ok()) << status;
}

TEST_F(ModelStoreTest, IsAsItWasWhenOpened) {
  PublishTimes("m", 1);
  const Store store = Open();
  PublishTimes("m", 1);
  EXPECT_EQ(Version(store, "m"), 1u);
  EXPECT_EQ(Version(Open(), "m"), 2u);
}

TEST_F(ModelStoreTest, DirectoryThatCannotBeRead) {
  EXPECT_FALSE(ModelStore::Open(directory_.File("none")).ok());
  WriteBytes(directory_.File("file"), "");
  EXPECT_FALSE(ModelStore::Open(directory_.File("file")).ok());
}

}  // namespace
}  // namespace lmserve
