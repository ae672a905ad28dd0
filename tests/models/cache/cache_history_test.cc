// SPDX-License-Identifier: Apache-2.0
#include "models/cache/cache_history.h"

#include <cstring>
#include <random>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lmserve {
namespace {

using Bytes = std::vector<std::byte>;

// The key of a word: `units` floats.
std::vector<float> KeyOf(WordId word, size_t units) {
  std::vector<float> key;
  for (size_t k = 0; k < units; ++k) key.push_back(word + 0.125f * k);
  return key;
}

void Append(const CacheHistory& history, const std::vector<WordId>& words,
            Bytes* bytes) {
  std::vector<float> keys;
  for (WordId word : words) {
    const std::vector<float> key = KeyOf(word, history.units());
    keys.insert(keys.end(), key.begin(), key.end());
  }
  history.Append(words, history.StoredKeys(keys).data(), bytes->data());
}

Bytes Empty(const CacheHistory& history) {
  Bytes bytes(history.bytes(), std::byte{0xAB});
  history.Clear(bytes.data());
  return bytes;
}

// Returns the dot product of (1, 0, 0 ...) and each key: its first number.
std::vector<float> FirstNumbers(const CacheHistory& history,
                                const Bytes& bytes) {
  std::vector<float> x(history.units());
  x[0] = 1;
  std::vector<float> products(history.Words(bytes.data()).size());
  for (const CacheHistory::Run& run : history.Keys(bytes.data())) {
    history.Multiply(x.data(), 1, run, 0, run.count,
                     products.data() + run.begin, run.count);
  }
  return products;
}

TEST(CacheHistoryTest, Sizes) {
  EXPECT_EQ(CacheHistory(5, 0, Precision::kFloat).bytes(), 8 + 5 * 4u);
  EXPECT_EQ(CacheHistory(5, 3, Precision::kFloat).bytes(), 8 + 5 * 16u);
  EXPECT_EQ(CacheHistory(5, 4, Precision::kBf16).bytes(), 8 + 5 * 12u);
  // 15 numbers of 2 bytes are padded.
  EXPECT_EQ(CacheHistory(5, 3, Precision::kBf16).bytes(), 8 + 20 + 32u);
}

TEST(CacheHistoryTest, KeepsTheLastWords) {
  for (Precision precision : {Precision::kFloat, Precision::kBf16}) {
    const CacheHistory history(4, 3, precision);
    Bytes bytes = Empty(history);
    EXPECT_THAT(history.Words(bytes.data()), testing::IsEmpty());
    Append(history, {7, 8}, &bytes);
    EXPECT_THAT(history.Words(bytes.data()), testing::ElementsAre(7, 8));
    EXPECT_THAT(FirstNumbers(history, bytes), testing::ElementsAre(7, 8));
    Append(history, {9, 10, 11}, &bytes);
    EXPECT_THAT(history.Words(bytes.data()),
                testing::ElementsAre(8, 9, 10, 11));
    EXPECT_THAT(FirstNumbers(history, bytes),
                testing::ElementsAre(8, 9, 10, 11));
    Append(history, {1, 2, 3, 4, 5, 6, 7, 8, 9}, &bytes);
    EXPECT_THAT(history.Words(bytes.data()), testing::ElementsAre(6, 7, 8, 9));
    EXPECT_THAT(FirstNumbers(history, bytes), testing::ElementsAre(6, 7, 8, 9));
  }
}

// However a text is cut into parts, its history has the same bytes.
TEST(CacheHistoryTest, EqualTextsHaveEqualBytes) {
  std::mt19937 random(1);
  for (size_t capacity : {1, 2, 3, 7}) {
    const CacheHistory history(capacity, 2, Precision::kFloat);
    for (size_t size = 0; size < 30; ++size) {
      std::vector<WordId> text(size);
      for (WordId& word : text) word = random() % 100;
      Bytes whole = Empty(history), parts = whole;
      Append(history, text, &whole);
      for (auto at = text.begin(); at != text.end();) {
        const auto next = at + 1 + random() % (text.end() - at);
        Append(history, {at, next}, &parts);
        at = next;
      }
      ASSERT_EQ(whole, parts);
    }
  }
}

TEST(CacheHistoryTest, WithoutKeys) {
  const CacheHistory history(3, 0, Precision::kFloat);
  Bytes bytes = Empty(history);
  history.Append({{4, 5, 6, 7}}, nullptr, bytes.data());
  EXPECT_THAT(history.Words(bytes.data()), testing::ElementsAre(5, 6, 7));
}

}  // namespace
}  // namespace lmserve
