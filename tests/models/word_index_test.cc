// SPDX-License-Identifier: Apache-2.0
#include "models/word_index.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace lmserve {
namespace {

TEST(WordIndexTest, AnEmptyIndexHasNoWord) {
  const WordIndex none;
  EXPECT_EQ(none.Find({}, "a"), WordIndex::kNotFound);
  const WordIndex empty(0);
  EXPECT_EQ(empty.Find({}, "a"), WordIndex::kNotFound);
  EXPECT_EQ(empty.Find({}, ""), WordIndex::kNotFound);
  const std::vector<absl::string_view> words = {"a", "", "b"};
  for (const WordIndex* index : {&none, &empty}) {
    std::vector<uint32_t> numbers(3);
    index->FindAll({}, words, numbers.data());
    EXPECT_EQ(numbers, std::vector<uint32_t>(3, WordIndex::kNotFound));
  }
}

TEST(WordIndexTest, TheFirstWordIsFound) {
  const std::vector<absl::string_view> words = {"a"};
  WordIndex index(1);
  EXPECT_TRUE(index.Insert(words, 0));
  EXPECT_EQ(index.Find(words, "a"), 0u);
  EXPECT_EQ(index.Find(words, "b"), WordIndex::kNotFound);
}

// Words of each size around those that are kept in the entries, which differ in
// one letter, wherever it is, or in the number of their zero bytes.
TEST(WordIndexTest, WordsOfAnySizeDiffer) {
  std::vector<std::string> kept;
  for (size_t size = 1; size <= 20; ++size) {
    for (char letter : {'\0', 'x'}) {
      kept.emplace_back(size, letter);
      for (size_t i = 0; i < size; ++i) {
        kept.emplace_back(size, letter);
        kept.back()[i] = 'y';
      }
    }
  }
  const std::set<std::string> distinct(kept.begin(), kept.end());
  const std::vector<absl::string_view> words(distinct.begin(), distinct.end());
  WordIndex index(words.size());
  for (uint32_t i = 0; i < words.size(); i += 2) {
    EXPECT_TRUE(index.Insert(words, i));
    EXPECT_FALSE(index.Insert(words, i));
  }
  for (uint32_t i = 0; i < words.size(); ++i) {
    EXPECT_EQ(index.Find(words, words[i]),
              i % 2 == 0 ? i : WordIndex::kNotFound);
  }
}

TEST(WordIndexTest, FindsWhatAMapFinds) {
  std::mt19937 random(1);
  for (const char* prefix : {"w", "a long word "}) {
    for (size_t count : {1, 2, 3, 15, 16, 17, 1000, 20000}) {
      // Some words are there twice, and some are beginnings of others.
      std::vector<std::string> kept;
      for (size_t i = 0; i < count; ++i) {
        kept.push_back(absl::StrCat(prefix, random() % (2 * count)));
      }
      const std::vector<absl::string_view> words(kept.begin(), kept.end());
      std::map<std::string, uint32_t> expected;
      WordIndex index(count);
      for (uint32_t i = 0; i < count; ++i) {
        EXPECT_EQ(index.Insert(words, i), expected.emplace(kept[i], i).second);
      }
      std::vector<std::string> asked = {"", prefix, absl::StrCat(kept[0], "0")};
      for (size_t i = 0; i < 2 * count + 5; ++i) {
        asked.push_back(absl::StrCat(prefix, i));
      }
      const std::vector<absl::string_view> views(asked.begin(), asked.end());
      std::vector<uint32_t> numbers(views.size());
      index.FindAll(words, views, numbers.data());
      for (size_t i = 0; i < views.size(); ++i) {
        const auto found = expected.find(asked[i]);
        const uint32_t number =
            found == expected.end() ? WordIndex::kNotFound : found->second;
        EXPECT_EQ(index.Find(words, views[i]), number) << asked[i];
        EXPECT_EQ(numbers[i], number) << asked[i];
      }
    }
  }
}

}  // namespace
}  // namespace lmserve
