// SPDX-License-Identifier: Apache-2.0
#include "model_store/store_directory.h"

#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/temporary_directory.h"

namespace lmserve {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;

class StoreDirectoryTest : public testing::Test {
 protected:
  void MakeDirectory(const std::string& name) const {
    std::filesystem::create_directories(store_.File(name));
  }
  void Write(const std::string& name, const std::string& text) const {
    std::ofstream(store_.File(name)) << text;
  }

  const TemporaryDirectory store_;
};

TEST_F(StoreDirectoryTest, ModelsAreDirectoriesWithPlainNames) {
  for (const char* name :
       {"b", "a", "B", ".hidden", "a b", "m\xc3\xbc", "lost+found"}) {
    MakeDirectory(name);
  }
  Write("file", "");
  const auto names = ListModelNames(store_.path());
  ASSERT_TRUE(names.ok()) << names.status();
  EXPECT_THAT(*names, ElementsAre("B", "a", "b"));
}

// The targets of links are not looked at: they may be on a file system that
// hangs.
TEST_F(StoreDirectoryTest, PossibleModelsAreDirectoriesAndAllLinks) {
  MakeDirectory("a");
  Write("file", "");
  std::filesystem::create_symlink(store_.File("file"), store_.File("to-file"));
  std::filesystem::create_symlink(store_.File("a"), store_.File("to-a"));
  std::filesystem::create_symlink("none", store_.File("to-none"));
  EXPECT_THAT(ListPossibleModels(store_.path())->names,
              ElementsAre("a", "to-a", "to-file", "to-none"));
  EXPECT_THAT(ListModelNames(store_.path()).value(),
              ElementsAre("a", "to-a", "to-none"));
  EXPECT_THAT(ReadVersions(store_.path(), "to-file")->versions, IsEmpty());
  EXPECT_FALSE(ReadVersions(store_.path(), "to-none").ok());
  EXPECT_FALSE(ReadVersions(store_.path(), "file").ok());
}

TEST_F(StoreDirectoryTest, StoreThatCannotBeRead) {
  Write("file", "");
  EXPECT_TRUE(absl::IsNotFound(ListModelNames(store_.File("none")).status()));
  const absl::Status status = ListModelNames(store_.File("file")).status();
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(std::string(status.message()), HasSubstr(store_.File("file")));
}

TEST_F(StoreDirectoryTest, VersionsAreDirectoriesWithDecimalNames) {
  for (const char* name :
       {"m/10", "m/9", "m/1", "m/18446744073709551615", "m/0", "m/007", "m/+1",
        "m/-1", "m/1a", "m/1.0", "m/.publish-abc", "m/0x10",
        "m/18446744073709551616", "m/ 2"}) {
    MakeDirectory(name);
  }
  Write("m/5", "");
  EXPECT_THAT(ListVersions(store_.path(), "m"),
              ElementsAre(1, 9, 10, 18446744073709551615u));
  EXPECT_THAT(ListVersions(store_.path(), "none"), IsEmpty());
}

TEST_F(StoreDirectoryTest, DirectoriesMayBeLinks) {
  MakeDirectory("m/1");
  std::filesystem::create_directory_symlink(store_.File("m"),
                                            store_.File("linked"));
  EXPECT_THAT(*ListModelNames(store_.path()), ElementsAre("linked", "m"));
  EXPECT_THAT(ListVersions(store_.path(), "linked"), ElementsAre(1));
}

TEST_F(StoreDirectoryTest, Aliases) {
  MakeDirectory("m");
  EXPECT_THAT(*ReadAliases(store_.path(), "m"), IsEmpty());
  Write("m/aliases.json",
        R"({"versions": {"stable": "1", "canary": 18446744073709551615}})");
  const auto aliases = ReadAliases(store_.path(), "m");
  ASSERT_TRUE(aliases.ok()) << aliases.status();
  EXPECT_THAT(*aliases, ElementsAre(Pair("canary", 18446744073709551615u),
                                    Pair("stable", 1)));
}

TEST_F(StoreDirectoryTest, BrokenAliases) {
  MakeDirectory("m");
  for (const char* text :
       {"", "{", "[1]", R"({"aliases": {}})", R"({"versions": {"a": "b"}})",
        R"({"versions": {"a": -1}})", R"({"versions": {"7": "1"}})",
        R"({"versions": {"../a": "1"}})", R"({"versions": {"": "1"}})"}) {
    Write("m/aliases.json", text);
    const absl::Status status = ReadAliases(store_.path(), "m").status();
    EXPECT_TRUE(absl::IsDataLoss(status)) << text;
    EXPECT_THAT(std::string(status.message()),
                testing::StartsWith("aliases.json: "));
  }
}

TEST_F(StoreDirectoryTest, AliasesThatAreNotAFile) {
  MakeDirectory("directory/aliases.json");
  MakeDirectory("link");
  std::filesystem::create_symlink("none", store_.File("link/aliases.json"));
  MakeDirectory("fifo");
  ASSERT_EQ(mkfifo(store_.File("fifo/aliases.json").c_str(), 0600), 0);
  for (const char* name : {"directory", "link", "fifo"}) {
    EXPECT_TRUE(absl::IsDataLoss(ReadAliases(store_.path(), name).status()))
        << name;
  }
}

TEST(WithoutStorePathTest, RemovesThePathAtTheBeginning) {
  const auto message = [](const std::string& text) {
    return std::string(
        WithoutStorePath("/the/store", absl::NotFoundError(text)).message());
  };
  EXPECT_EQ(message("/the/store/m/1: no file"), "m/1: no file");
  EXPECT_EQ(message("/the/store: no directory"), "the store: no directory");
  EXPECT_EQ(message("file '/the/store'"), "file '/the/store'");
  EXPECT_TRUE(WithoutStorePath("/the/store", absl::OkStatus()).ok());
}

}  // namespace
}  // namespace lmserve
