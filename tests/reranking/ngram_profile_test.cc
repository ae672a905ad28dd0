// SPDX-License-Identifier: Apache-2.0
#include "reranking/ngram_profile.h"

#include <algorithm>
#include <map>
#include <random>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lmserve {
namespace {

using testing::ElementsAre;
using Symbols = std::vector<uint32_t>;

std::map<Symbols, uint64_t> CountNaively(const Symbols& text, size_t order) {
  std::map<Symbols, uint64_t> counts;
  for (size_t i = 0; i + order <= text.size(); ++i) {
    ++counts[Symbols(text.begin() + i, text.begin() + i + order)];
  }
  return counts;
}

Symbols Draw(std::mt19937& random, uint32_t most) {
  Symbols text(random() % 12);
  for (uint32_t& symbol : text) symbol = most - random() % 3;
  return text;
}

TEST(NgramProfileTest, ByHand) {
  const NgramProfile a({7, 7, 7, 9}, 4), b({7, 7, 9}, 4);
  EXPECT_EQ(a.total(1), 4u);
  EXPECT_EQ(a.total(4), 1u);
  EXPECT_EQ(b.total(4), 0u);
  EXPECT_EQ(a.CountCommon(b, 1), 3u);
  EXPECT_EQ(a.CountCommon(b, 2), 2u);
  EXPECT_EQ(a.CountCommon(b, 3), 1u);
  EXPECT_EQ(a.CountCommon(b, 4), 0u);
}

// Also with the greatest symbols that fit.
TEST(NgramProfileTest, AsANaiveCountOnRandomTexts) {
  std::mt19937 random(1);
  for (int round = 0; round < 300; ++round) {
    const bool words = round % 2 == 0;
    const size_t orders = words ? 4 : 6;
    const uint32_t most = words ? 0xFFFFFFFF : 0x10FFFF;
    const Symbols text = Draw(random, most), other = Draw(random, most);
    NgramProfile a(text, orders);
    const NgramProfile b(other, orders);
    std::vector<uint64_t> common(orders + 1), most_of_both(orders + 1);
    for (size_t order = 1; order <= orders; ++order) {
      std::map<Symbols, uint64_t> of_both = CountNaively(text, order);
      for (const auto& [ngram, count] : CountNaively(other, order)) {
        uint64_t& here = of_both[ngram];
        common[order] += std::min(here, count);
        here = std::max(here, count);
      }
      for (const auto& entry : of_both) most_of_both[order] += entry.second;
      EXPECT_EQ(a.CountCommon(b, order), common[order]);
      EXPECT_EQ(b.CountCommon(a, order), common[order]);
    }
    a.MergeMaximum(b);
    for (size_t order = 1; order <= orders; ++order) {
      EXPECT_EQ(a.total(order), most_of_both[order]);
      EXPECT_EQ(a.CountCommon(b, order), b.total(order));
    }
  }
}

TEST(WordNumbersTest, OneAWord) {
  WordNumbers numbers;
  const std::vector<std::string> text = {"a", "b", "a"}, other = {"c", "b"};
  EXPECT_THAT(numbers.Find(text), ElementsAre(0, 1, 0));
  EXPECT_THAT(numbers.Find(other), ElementsAre(2, 1));
}

}  // namespace
}  // namespace lmserve
