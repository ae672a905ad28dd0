// SPDX-License-Identifier: Apache-2.0
#include "models/word_index.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace lmserve {
namespace {

TEST(WordIndexTest, AnEmptyIndexHasNoWord) {
  const WordIndex none;
  EXPECT_EQ(none.Find("", "a"), WordIndex::kNotFound);
  const WordIndex empty(0);
  EXPECT_EQ(empty.Find("", "a"), WordIndex::kNotFound);
  EXPECT_EQ(empty.Find("", ""), WordIndex::kNotFound);
  const std::vector<absl::string_view> words = {"a", "", "b"};
  for (const WordIndex* index : {&none, &empty}) {
    std::vector<uint32_t> numbers(3);
    index->FindAll("", words, numbers.data());
    EXPECT_EQ(numbers, std::vector<uint32_t>(3, WordIndex::kNotFound));
  }
}

TEST(WordIndexTest, TheFirstWordOfATextIsFound) {
  WordIndex index(1);
  EXPECT_TRUE(index.Insert("a", 0, 1, 7));
  EXPECT_EQ(index.Find("a", "a"), 7u);
  EXPECT_EQ(index.Find("a", "b"), WordIndex::kNotFound);
}

TEST(WordIndexTest, FindsWhatAMapFinds) {
  std::mt19937 random(1);
  for (size_t count : {1, 2, 3, 15, 16, 17, 1000, 20000}) {
    std::string text;
    std::vector<std::pair<size_t, size_t>> places;
    for (size_t i = 0; i < count; ++i) {
      // Short words, of which some are there twice, and beginnings of others.
      const std::string word = absl::StrCat("w", random() % (2 * count));
      places.emplace_back(text.size(), word.size());
      absl::StrAppend(&text, word, "\n");
    }
    std::map<std::string, uint32_t> expected;
    WordIndex index(count);
    for (size_t i = 0; i < count; ++i) {
      const auto [offset, size] = places[i];
      EXPECT_EQ(index.Insert(text, offset, size, i),
                expected.emplace(text.substr(offset, size), i).second);
    }
    std::vector<std::string> asked = {"", "w", "w0\n", text.substr(0, 5)};
    for (size_t i = 0; i < 2 * count + 5; ++i) {
      asked.push_back(absl::StrCat("w", i));
    }
    const std::vector<absl::string_view> words(asked.begin(), asked.end());
    std::vector<uint32_t> numbers(words.size());
    index.FindAll(text, words, numbers.data());
    for (size_t i = 0; i < words.size(); ++i) {
      const auto found = expected.find(asked[i]);
      const uint32_t number =
          found == expected.end() ? WordIndex::kNotFound : found->second;
      EXPECT_EQ(index.Find(text, words[i]), number) << asked[i];
      EXPECT_EQ(numbers[i], number) << asked[i];
    }
  }
}

}  // namespace
}  // namespace lmserve
