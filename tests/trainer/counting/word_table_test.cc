// SPDX-License-Identifier: Apache-2.0
#include "trainer/counting/word_table.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/temporary_directory.h"
#include "tests/text_io/compress.h"
#include "trainer/counting/word_list.h"

namespace lmserve {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(WordTable, CountsWords) {
  WordTable table;
  EXPECT_EQ(table.size(), kMarkerIds);
  EXPECT_EQ(table.Add("b", 1, 10), 3u);
  EXPECT_EQ(table.Add("a", 2, 20), 4u);
  EXPECT_EQ(table.Add("b", 3, 5), 3u);
  EXPECT_EQ(table.Add("<unk>", 1, 7), kUnknownId);
  EXPECT_EQ(table.word(3).text, "b");
  EXPECT_EQ(table.word(3).count, 4u);
  EXPECT_EQ(table.word(3).first, 5u);
  EXPECT_EQ(table.word(kUnknownId).count, 1u);
  EXPECT_EQ(table.Count("a"), 4u);
  EXPECT_EQ(table.Count("other"), kUnknownId);
  EXPECT_EQ(table.word(kUnknownId).count, 2u);
}

TEST(WordTable, KeepsLongAndManyWords) {
  WordTable table;
  std::vector<std::string> words;
  for (size_t i = 0; i < 3000; ++i) {
    words.push_back(absl::StrCat(i) + std::string(i % 900 * 100, 'x'));
    EXPECT_EQ(table.Add(words.back(), 1, i), kMarkerIds + i);
  }
  for (int i = 0; i < 3000; ++i) {
    EXPECT_EQ(table.word(kMarkerIds + i).text, words[i]);
  }
}

TEST(FrequencyOrder, DoesNotDependOnTheOrderOfAdding) {
  WordTable table;
  table.Add("rare", 1, 1);
  table.Add("late", 2, 9);
  table.Add("early", 2, 3);
  table.Add("often", 7, 8);
  EXPECT_THAT(FrequencyOrder(table, 1), ElementsAre(0, 1, 2, 6, 5, 4, 3));
  EXPECT_THAT(FrequencyOrder(table, 2), ElementsAre(0, 1, 2, 6, 5, 4));
}

class WordListTest : public testing::Test {
 protected:
  const TemporaryDirectory directory_;
  const std::string path_ = directory_.File("words");
};

// A byte order mark at the start of a word is a part of it.
TEST_F(WordListTest, WhatIsWrittenIsRead) {
  WordTable table;
  table.Add("\xEF\xBB\xBFx", 5, 6);
  table.Add("\xC2\xA0", 1ull << 40, 1ull << 50);
  ASSERT_TRUE(WriteWordList(path_, table, {0, 1, 2, 4, 3}).ok());
  EXPECT_THAT(ReadWordCounts(path_).value(),
              ElementsAre(0, 0, 0, 1ull << 40, 5));
  EXPECT_EQ(ReadWordListVocabulary(path_)->text(),
            "<unk>\n<s>\n</s>\n\xC2\xA0\n\xEF\xBB\xBFx\n");
}

TEST_F(WordListTest, DamageIsReported) {
  const std::string markers = "1\t0\t<unk>\n1\t0\t<s>\n1\t0\t</s>\n";
  const auto problem = [&](const std::string& text) {
    WriteBytes(path_, text);
    return std::string(ReadWordCounts(path_).status().message());
  };
  EXPECT_EQ(problem(markers), "");
  EXPECT_THAT(problem(markers + "1\tword\n"), HasSubstr("line 4: expected"));
  EXPECT_THAT(problem(markers + "x\t1\tword\n"), HasSubstr("line 4: expected"));
  EXPECT_THAT(problem(markers + "1\t1\ta b\n"), HasSubstr("line 4: expected"));
  EXPECT_THAT(problem("1\t0\t<s>\n"), HasSubstr("line 1: expected <unk>"));
  EXPECT_THAT(problem("1\t0\t<unk>\n"), HasSubstr("expected <unk>, <s> and"));
  EXPECT_THAT(problem(markers + "1\t1\ta\n1\t2\t</s>\n"),
              HasSubstr("line 5: expected </s> only at the start"));
}

// Sums of counts and tables of lines would overflow, or be as large as others
// please.
TEST_F(WordListTest, CountsAndLinesAreLimited) {
  const std::string markers = "1\t0\t<unk>\n1\t0\t<s>\n1\t0\t</s>\n";
  const auto problem = [&](const std::string& text) {
    WriteBytes(path_, text);
    return std::string(ReadWordCounts(path_).status().message());
  };
  EXPECT_EQ(problem(markers + "72057594037927932\t0\ta\n"), "");
  EXPECT_EQ(problem(markers + "72057594037927933\t0\ta\n"), "");
  EXPECT_THAT(problem(markers + "72057594037927934\t0\ta\n"),
              HasSubstr("line 4: expected counts of at most 2^56"));
  EXPECT_THAT(problem(markers + "18446744073709551615\t0\ta\n"),
              HasSubstr("line 4: expected counts of at most 2^56"));
  const std::string word(kMaxWordSize, 'w');
  EXPECT_EQ(problem(absl::StrCat(markers, "1\t18446744073709551615\t", word)),
            "");
  EXPECT_THAT(problem(Gzip(markers + std::string(8 << 20, 'w'))),
              HasSubstr("line 4: expected at most 65578 bytes"));
}

}  // namespace
}  // namespace lmserve
