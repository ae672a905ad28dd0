// SPDX-License-Identifier: Apache-2.0
#include "model_store/publish.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <numeric>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model_store/loaded_version.h"
#include "model_store/model_store.h"
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
using testing::UnorderedElementsAre;

class PublishTest : public testing::Test {
 protected:
  NewVersion TinyVersion() const {
    NewVersion version;
    version.family = "ngram";
    version.properties = {{"order", "3"}, {"text", "\"a\"\n\xc3\xa9"}};
    version.files = {{"vocabulary.txt", tiny_.model->vocabulary().text()},
                     {"ngram.bin", tiny_.bytes}};
    version.self_test = {"the cat is small", "zebra \"\\\t\xc3\xa9", ""};
    return version;
  }

  // Expects that publishing fails and leaves no files.
  void ExpectRefused(const NewVersion& version, const std::string& expected) {
    const absl::Status status = Publish(store_.path(), "m", version).status();
    EXPECT_FALSE(status.ok());
    EXPECT_THAT(status.ToString(), HasSubstr(expected));
    EXPECT_THAT(ListVersions(store_.path(), "m"), IsEmpty());
    EXPECT_THAT(Names(store_.File("m")), IsEmpty());
  }

  static std::vector<std::string> Names(const std::string& directory) {
    std::vector<std::string> names;
    std::error_code ignored;
    for (const auto& entry :
         std::filesystem::directory_iterator(directory, ignored)) {
      names.push_back(entry.path().filename());
    }
    return names;
  }

  // Expects that the versions on disk are 1 to `count` and that all load.
  void ExpectVersions(size_t count) const {
    std::vector<uint64_t> expected(count);
    std::iota(expected.begin(), expected.end(), 1);
    EXPECT_EQ(ListVersions(store_.path(), "m"), expected);
    for (uint64_t version : expected) {
      const absl::Status status =
          LoadModel(store_.path(), "m", version).status();
      EXPECT_TRUE(status.ok()) << version << ": " << status;
    }
  }

  const TemporaryDirectory store_;
  const BuiltNgramModel tiny_ = BuildFromArpa(TinyArpa());
};

TEST_F(PublishTest, WritesWhatItWasGiven) {
  ASSERT_EQ(Publish(store_.path(), "m", TinyVersion()).value(), 1u);
  EXPECT_THAT(Names(store_.path()), ElementsAre("m"));
  EXPECT_THAT(Names(store_.File("m")), ElementsAre("1"));
  EXPECT_THAT(Names(store_.File("m/1")),
              UnorderedElementsAre("manifest.json", "ngram.bin",
                                   "selftest.json", "vocabulary.txt"));
  EXPECT_EQ(ReadBytes(store_.File("m/1/ngram.bin")), tiny_.bytes);
  const ModelHandle loaded = LoadModel(store_.path(), "m", 1).value();
  EXPECT_EQ(loaded->manifest().properties().at("text"), "\"a\"\n\xc3\xa9");
  EXPECT_THAT(loaded->manifest().created(),
              testing::MatchesRegex("[0-9]{4}-[0-9]{2}-[0-9]{2}T"
                                    "[0-9]{2}:[0-9]{2}:[0-9]{2}Z"));
}

TEST_F(PublishTest, VersionsCountUp) {
  for (uint64_t version = 1; version <= 11; ++version) {
    EXPECT_EQ(PublishTinyModel(store_.path(), "m"), version);
  }
  EXPECT_EQ(PublishTinyModel(store_.path(), "n"), 1u);
  // The number of a removed version is not used again.
  std::filesystem::remove_all(store_.File("m/5"));
  EXPECT_EQ(PublishTinyModel(store_.path(), "m"), 12u);
}

TEST_F(PublishTest, MakesTheDirectories) {
  const std::string deep = store_.File("a/b/store");
  EXPECT_EQ(Publish(deep, "m", TinyVersion()).value(), 1u);
  EXPECT_TRUE(LoadModel(deep, "m", 1).ok());
}

TEST_F(PublishTest, SkipsNumbersThatAreInUse) {
  std::filesystem::create_directories(store_.File("m"));
  WriteBytes(store_.File("m/1"), "a file");
  std::filesystem::create_symlink("none", store_.File("m/2"));
  EXPECT_EQ(Publish(store_.path(), "m", TinyVersion()).value(), 3u);
  EXPECT_EQ(ReadBytes(store_.File("m/1")), "a file");
}

TEST_F(PublishTest, NoNumberAfterTheLast) {
  std::filesystem::create_directories(
      store_.File(absl::StrCat("m/", std::numeric_limits<uint64_t>::max())));
  EXPECT_TRUE(absl::IsResourceExhausted(
      Publish(store_.path(), "m", TinyVersion()).status()));
  EXPECT_THAT(Names(store_.File("m")), ElementsAre("18446744073709551615"));
}

TEST_F(PublishTest, InvalidNamesCreateNoFiles) {
  for (const char* name : {"", "..", "a/b", ".m", "m@1"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(
        Publish(store_.path(), name, TinyVersion()).status()))
        << name;
  }
  EXPECT_THAT(Names(store_.path()), IsEmpty());
}

TEST_F(PublishTest, WhatCannotBeLoadedIsNotPublished) {
  const std::string truncated = tiny_.bytes.substr(0, 500);
  const struct {
    const char* expected;
    std::function<void(NewVersion&)> change;
  } cases[] = {
      {"found 'neural'", [](NewVersion& v) { v.family = "neural"; }},
      {"ngram.bin is missing",
       [](NewVersion& v) { v.files.erase("ngram.bin"); }},
      {"ngram.bin at byte",
       [&](NewVersion& v) { v.files["ngram.bin"] = truncated; }},
      {"vocabulary line 1",
       [](NewVersion& v) { v.files["vocabulary.txt"] = "\n"; }},
      {"expected a text, found none",
       [](NewVersion& v) { v.self_test.clear(); }},
      // JSON cannot represent this byte.
      {"", [](NewVersion& v) { v.self_test = {"\xff"}; }},
      {"found '.hidden'", [](NewVersion& v) { v.files[".hidden"] = ""; }},
      {"found 'manifest.json'",
       [](NewVersion& v) { v.files["manifest.json"] = ""; }},
      {"size: expected at most 1048576",
       [](NewVersion& v) { v.properties["a"] = std::string(1 << 20, 'a'); }},
  };
  for (const auto& c : cases) {
    NewVersion version = TinyVersion();
    c.change(version);
    ExpectRefused(version, c.expected);
  }
}

// A property may contain a file name that is not UTF-8.
TEST_F(PublishTest, PropertyThatIsNoUtf8) {
  NewVersion version = TinyVersion();
  version.properties["corpus"] = "caf\xe9.txt";
  ASSERT_EQ(Publish(store_.path(), "m", version).value(), 1u);
  ExpectVersions(1);
}

TEST_F(PublishTest, WritesNowhereElse) {
  NewVersion version = TinyVersion();
  version.files["../../escaped"] = "bytes";
  ExpectRefused(version, "found '../../escaped'");
  EXPECT_FALSE(std::filesystem::exists(store_.File("escaped")));
}

TEST_F(PublishTest, StoreThatCannotBeWritten) {
  WriteBytes(store_.File("file"), "");
  for (const auto& [store, name] : {std::pair(store_.File("file"), "m"),
                                    std::pair(store_.path(), "file")}) {
    const absl::Status status = Publish(store, name, TinyVersion()).status();
    EXPECT_FALSE(status.ok());
    EXPECT_THAT(status.ToString(), HasSubstr(store_.File("file")));
  }
}

// Writes the files of the tiny version to a directory.
std::map<std::string, std::string> WriteFiles(const NewVersion& version,
                                              const std::string& directory) {
  std::map<std::string, std::string> paths;
  for (const auto& [name, bytes] : version.files) {
    paths[name] = absl::StrCat(directory, "/", name);
    std::ofstream(paths[name]) << bytes;
  }
  return paths;
}

TEST_F(PublishTest, FilesAreLinked) {
  NewVersion version = TinyVersion();
  ASSERT_TRUE(Publish(store_.path(), "m", version).ok());
  const TemporaryDirectory directory;
  version.paths = WriteFiles(version, directory.path());
  version.files.clear();
  ASSERT_TRUE(Publish(store_.path(), "m", version).ok());
  ExpectVersions(2);
  for (const auto& [name, path] : version.paths) {
    EXPECT_TRUE(std::filesystem::equivalent(path, store_.File("m/2/" + name)));
  }
}

TEST_F(PublishTest, FilesOfAnotherFileSystemAreCopied) {
  std::string other = "/dev/shm/publish_test_XXXXXX";
  if (mkdtemp(other.data()) == nullptr) GTEST_SKIP() << "no /dev/shm";
  NewVersion version = TinyVersion();
  version.paths = WriteFiles(version, other);
  version.files.clear();
  const auto published = Publish(store_.path(), "m", version);
  std::filesystem::remove_all(other);
  ASSERT_TRUE(published.ok()) << published.status();
  ExpectVersions(1);
}

TEST_F(PublishTest, FilesAreChecked) {
  NewVersion version = TinyVersion();
  version.files.erase("ngram.bin");
  version.paths["ngram.bin"] = store_.File("missing");
  ExpectRefused(version, "missing");
  std::ofstream(store_.File("broken")) << "lmcount1";
  version.paths["ngram.bin"] = store_.File("broken");
  ExpectRefused(version, "ngram.bin");
}

// A long training must not end with the discovery that it cannot publish.
TEST_F(PublishTest, CheckCanPublishCreatesNothing) {
  const std::string store = store_.File("new/store");
  EXPECT_TRUE(CheckCanPublish(store, "m").ok());
  EXPECT_FALSE(std::filesystem::exists(store_.File("new")));
  EXPECT_FALSE(CheckCanPublish(store, "m/n").ok());
  const std::string file = store_.File("file");
  std::ofstream(file) << "text";
  for (const std::string& path : {file, file + "/store"}) {
    EXPECT_EQ(CheckCanPublish(path, "m").message(),
              file + ": expected a directory, found a file");
  }
  const std::string locked = store_.File("locked");
  std::filesystem::create_directory(locked);
  std::filesystem::permissions(locked, std::filesystem::perms::owner_read);
  EXPECT_EQ(CheckCanPublish(locked, "m").ok(), geteuid() == 0);
}

TEST_F(PublishTest, EightThreadsAtOnce) {
  constexpr size_t kThreads = 8, kEach = 3;
  std::vector<std::vector<uint64_t>> numbers(kThreads);
  std::vector<std::thread> threads;
  threads.reserve(numbers.size());
  for (auto& mine : numbers) {
    threads.emplace_back([&] {
      for (size_t i = 0; i < kEach; ++i) {
        mine.push_back(PublishTinyModel(store_.path(), "m"));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::vector<uint64_t> all;
  for (const auto& mine : numbers) {
    EXPECT_TRUE(std::is_sorted(mine.begin(), mine.end()));
    all.insert(all.end(), mine.begin(), mine.end());
  }
  std::sort(all.begin(), all.end());
  ExpectVersions(kThreads * kEach);
  EXPECT_EQ(all, ListVersions(store_.path(), "m"));
}

TEST_F(PublishTest, EightProcessesAtOnce) {
  constexpr size_t kProcesses = 8, kEach = 3;
  int gate[2], results[2];
  ASSERT_EQ(pipe(gate), 0);
  ASSERT_EQ(pipe(results), 0);
  std::vector<Child> children;
  for (size_t i = 0; i < kProcesses; ++i) {
    children.emplace_back([&] {
      close(gate[1]);
      char byte;
      if (read(gate[0], &byte, 1) != 0)
        _exit(1);  // waits until the parent closes it
      for (size_t k = 0; k < kEach; ++k) {
        const uint64_t number = PublishTinyModel(store_.path(), "m");
        if (write(results[1], &number, sizeof(number)) < 0) _exit(1);
      }
    });
  }
  close(gate[1]);  // starts all children
  for (Child& child : children) EXPECT_TRUE(child.Wait());
  close(gate[0]);
  close(results[1]);
  std::vector<uint64_t> numbers;
  uint64_t number;
  while (read(results[0], &number, sizeof(number)) == sizeof(number)) {
    numbers.push_back(number);
  }
  close(results[0]);
  std::sort(numbers.begin(), numbers.end());
  ExpectVersions(kProcesses * kEach);
  EXPECT_EQ(numbers, ListVersions(store_.path(), "m"));
}

TEST_F(PublishTest, KilledAtAnyMoment) {
  std::mt19937 random(1);
  for (int round = 0; round < 40; ++round) {
    int reported[2];
    ASSERT_EQ(pipe(reported), 0);
    Child child([&] {
      close(reported[0]);
      for (;;) {
        const uint64_t number = PublishTinyModel(store_.path(), "m");
        const absl::Status status =
            SetAlias(store_.path(), "m", "stable", number);
        if (!status.ok()) _exit(1);
        if (write(reported[1], &number, sizeof(number)) < 0) _exit(1);
      }
    });
    close(reported[1]);
    uint64_t number = 0;
    ASSERT_EQ(read(reported[0], &number, sizeof(number)),
              ssize_t{sizeof(number)});
    // A random moment to kill the child; no event is awaited.
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 5000));
    child.Kill();
    EXPECT_FALSE(child.Wait());
    while (read(reported[0], &number, sizeof(number)) > 0) continue;
    close(reported[0]);

    const auto store = ModelStore::Open(store_.path());
    ASSERT_TRUE(store.ok()) << store.status();
    for (const ModelStore::Refused& refused : (*store)->refused()) {
      ADD_FAILURE() << refused.version << ": " << refused.reason;
    }
    // Every version that the child reported still exists.
    EXPECT_GE((*store)->Get("m").value()->version(), number);
    EXPECT_GE((*store)->Get("m@stable").value()->version(), number);
  }
  ExpectVersions(ListVersions(store_.path(), "m").size());
}

TEST_F(PublishTest, SetAliasReplacesItsOwn) {
  PublishTinyModel(store_.path(), "m");
  PublishTinyModel(store_.path(), "m");
  for (const auto& [alias, version] :
       {std::pair("stable", 1), std::pair("canary", 2),
        std::pair("stable", 2)}) {
    const absl::Status status = SetAlias(store_.path(), "m", alias, version);
    EXPECT_TRUE(status.ok()) << status;
  }
  EXPECT_THAT(*ReadAliases(store_.path(), "m"),
              ElementsAre(Pair("canary", 2), Pair("stable", 2)));
  EXPECT_THAT(Names(store_.File("m")),
              UnorderedElementsAre("1", "2", "aliases.json"));
}

TEST_F(PublishTest, SetAliasRefuses) {
  PublishTinyModel(store_.path(), "m");
  const auto set = [this](const char* name, const char* alias, uint64_t n) {
    return SetAlias(store_.path(), name, alias, n).code();
  };
  EXPECT_EQ(set("m", "stable", 2), absl::StatusCode::kNotFound);
  EXPECT_EQ(set("n", "stable", 1), absl::StatusCode::kNotFound);
  EXPECT_EQ(set("m", "stable", 0), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(set("m", "7", 1), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(set("m", "a/b", 1), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(set("../m", "a", 1), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(Names(store_.File("m")), ElementsAre("1"));
  // A damaged aliases.json is not overwritten.
  WriteBytes(store_.File("m/aliases.json"), "{");
  EXPECT_EQ(set("m", "stable", 1), absl::StatusCode::kDataLoss);
  EXPECT_EQ(ReadBytes(store_.File("m/aliases.json")), "{");
}

TEST_F(PublishTest, FindVersion) {
  PublishTinyModel(store_.path(), "m");
  PublishTinyModel(store_.path(), "m");
  ASSERT_TRUE(SetAlias(store_.path(), "m", "stable", 1).ok());
  const auto find = [this](absl::string_view spec) {
    return FindVersion(store_.path(), spec);
  };
  EXPECT_EQ(find("m").value(), 2u);
  EXPECT_EQ(find("m@1").value(), 1u);
  EXPECT_EQ(find("m@stable").value(), 1u);
  EXPECT_TRUE(absl::IsInvalidArgument(find("m@").status()));
  EXPECT_THAT(find("m@3").status().ToString(),
              HasSubstr("NOT_FOUND: model 'm' has no version or alias '3'; "
                        "versions: 1, 2"));
  EXPECT_TRUE(absl::IsNotFound(find("m@canary").status()));
  EXPECT_THAT(find("x").status().ToString(), HasSubstr("found: m"));
}

}  // namespace
}  // namespace lmserve
