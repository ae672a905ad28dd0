// SPDX-License-Identifier: Apache-2.0
#include "trainer/counting/counts_directory.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/temporary_directory.h"
#include "tests/text_io/compress.h"
#include "text_io/byte_source.h"

namespace lmserve {
namespace {

using testing::HasSubstr;

class CountsDirectoryTest : public testing::Test {
 protected:
  CountsDirectoryTest() {
    manifest_.order = 2;
    manifest_.vocabulary = 10;
    manifest_.has_fixed_vocabulary = true;
    manifest_.min_count = 4;
    manifest_.totals = {1, 2, 3, 4, {{0, "a \"b\""}, {1ull << 40, "\xC3\xA4"}}};
  }

  void AddPart(const std::string& name,
               const std::vector<std::array<WordId, 2>>& windows,
               uint64_t count = 1) {
    auto writer = WindowWriter::Create(directory_.File(name), 2).value();
    const std::array<WordId, 2>* last = nullptr;
    for (const auto& window : windows) {
      writer->Add(window.data(),
                  last != nullptr && (*last)[0] == window[0] ? 1 : 0, count);
      last = &window;
    }
    ASSERT_TRUE(writer->Close(true).ok());
    manifest_.parts.push_back({name, windows.size()});
  }

  // Reads all windows: the first word, the second one, and the shared words.
  absl::StatusOr<std::vector<std::array<int, 3>>> Read() {
    auto reader = CountsReader::Open(directory_.path(), manifest_);
    if (!reader.ok()) return reader.status();
    std::vector<std::array<int, 3>> rows;
    while ((*reader)->Next()) {
      const WordId* window = (*reader)->window();
      rows.push_back({static_cast<int>(window[0]), static_cast<int>(window[1]),
                      (*reader)->shared()});
    }
    if (!(*reader)->status().ok()) return (*reader)->status();
    return rows;
  }

  const TemporaryDirectory directory_;
  CountsManifest manifest_;
};

TEST_F(CountsDirectoryTest, TheManifestIsRead) {
  manifest_.parts = {{"b", 7}, {"a", 1ull << 40}};
  ASSERT_TRUE(WriteCountsManifest(directory_.path(), manifest_).ok());
  const CountsManifest found = ReadCountsManifest(directory_.path()).value();
  EXPECT_EQ(found.order, 2);
  EXPECT_EQ(found.vocabulary, 10u);
  EXPECT_TRUE(found.has_fixed_vocabulary);
  EXPECT_EQ(found.min_count, 4u);
  EXPECT_EQ(found.totals.sentences, 1u);
  EXPECT_EQ(found.totals.tokens, 2u);
  EXPECT_EQ(found.totals.unknown, 3u);
  EXPECT_EQ(found.totals.blank_lines, 4u);
  EXPECT_EQ(found.totals.self_test, manifest_.totals.self_test);
  ASSERT_EQ(found.parts.size(), 2u);
  EXPECT_EQ(found.parts[0].name, "b");
  EXPECT_EQ(found.parts[1].windows, 1ull << 40);
}

TEST_F(CountsDirectoryTest, ADamagedManifestIsReported) {
  manifest_.parts = {{"part", 8642}};
  ASSERT_TRUE(WriteCountsManifest(directory_.path(), manifest_).ok());
  const std::string path = directory_.File("counts.json");
  const std::string text = ReadAllBytes(path).value();
  const auto problem = [&](const std::string& from, const std::string& to) {
    const std::string changed = absl::StrReplaceAll(text, {{from, to}});
    EXPECT_NE(changed, text) << from;
    WriteBytes(path, changed);
    return std::string(
        ReadCountsManifest(directory_.path()).status().message());
  };
  EXPECT_THAT(problem("{", "["), HasSubstr("format: expected a string"));
  EXPECT_THAT(problem("counts 1", "counts 2"), HasSubstr("format: expected"));
  EXPECT_THAT(problem("\"order\": 2", "\"order\": 33"), HasSubstr("1 to 32"));
  EXPECT_THAT(problem("\"order\": 2", "\"order\": -1"), HasSubstr("a number"));
  EXPECT_THAT(problem("10", "2"), HasSubstr("vocabulary: expected"));
  EXPECT_THAT(problem("true", "1"), HasSubstr("fixed_vocabulary: expected"));
  EXPECT_THAT(problem("\"part\"", "\"../part\""), HasSubstr("parts: expected"));
  EXPECT_THAT(problem("\"part\"", "1"), HasSubstr("parts: expected"));
  EXPECT_THAT(problem("8642", "\"8642\""), HasSubstr("parts: expected"));
  EXPECT_THAT(problem("\"a \\\"b\\\"\"", "1"), HasSubstr("self_test"));
  EXPECT_THAT(problem("8642", "72057594037927937"), HasSubstr("2^56 windows"));
  EXPECT_THAT(problem("\"unknown\": 3", "\"unknown\": 72057594037927937"),
              HasSubstr("unknown: expected at most 2^56"));
}

TEST_F(CountsDirectoryTest, TheManifestIsNotReadWithoutEnd) {
  WriteBytes(directory_.File("counts.json"),
             Gzip("[" + std::string(17 << 20, ' ')));
  EXPECT_THAT(ReadCountsManifest(directory_.path()).status().message(),
              HasSubstr("expected at most 16777216 bytes"));
}

// Tables have the size that the manifest says.
TEST_F(CountsDirectoryTest, TheWordsMustBeAsManyAsTheManifestSays) {
  WriteBytes(directory_.File("words"),
             "0\t0\t<unk>\n0\t0\t<s>\n0\t0\t</s>\n1\t0\ta\n");
  const auto problem = [&](uint64_t vocabulary) {
    manifest_.vocabulary = vocabulary;
    return std::string(CheckWords(directory_.path(), manifest_).message());
  };
  EXPECT_EQ(problem(4), "");
  EXPECT_THAT(
      problem(uint64_t{1} << 31),
      HasSubstr("words: expected 2147483648 words, as counts.json says, "
                "found 4"));
  EXPECT_THAT(problem(3), HasSubstr("found more"));
}

TEST_F(CountsDirectoryTest, TheFilesAreReadAsOne) {
  AddPart("a", {{3, 4}, {3, 5}});
  AddPart("b", {});
  AddPart("c", {{3, 6}});
  AddPart("d", {{4, 4}, {4, 5}});
  EXPECT_THAT(Read().value(),
              testing::ElementsAre(
                  std::array<int, 3>{3, 4, 0}, std::array<int, 3>{3, 5, 1},
                  std::array<int, 3>{3, 6, 1}, std::array<int, 3>{4, 4, 0},
                  std::array<int, 3>{4, 5, 1}));
}

TEST_F(CountsDirectoryTest, FilesMustFollowEachOther) {
  AddPart("a", {{3, 4}});
  AddPart("b", {{3, 4}});
  EXPECT_THAT(Read().status().message(),
              HasSubstr("b: expected windows after"));
  manifest_.parts[1].windows = 2;
  EXPECT_THAT(Read().status().message(), HasSubstr("windows: expected 2"));
  manifest_.parts[1].name = "c";
  EXPECT_TRUE(absl::IsNotFound(Read().status()));
}

TEST_F(CountsDirectoryTest, TheCountsOfAllFilesAreLimited) {
  AddPart("a", {{3, 4}}, uint64_t{1} << 56);
  EXPECT_TRUE(Read().ok());
  AddPart("b", {{3, 5}});
  EXPECT_THAT(Read().status().message(), HasSubstr("at most 2^56 in all"));
}

TEST_F(CountsDirectoryTest, MayHaveNoFiles) { EXPECT_TRUE(Read()->empty()); }

}  // namespace
}  // namespace lmserve
