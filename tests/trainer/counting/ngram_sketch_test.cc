// SPDX-License-Identifier: Apache-2.0
#include "trainer/counting/ngram_sketch.h"

#include <random>
#include <set>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lmserve {
namespace {

TEST(NgramSketch, EstimatesDifferentNgrams) {
  constexpr int kOrder = 3;
  std::mt19937 random(1);
  NgramSketch odd(kOrder), even(kOrder);
  std::vector<std::set<std::vector<uint64_t>>> ngrams(kOrder);
  for (int i = 0; i < 20000; ++i) {
    std::vector<uint64_t> sentence;
    sentence.reserve(10);
    for (int j = 0; j < 10; ++j) {
      sentence.push_back(SketchHash(absl::StrCat("w", random() % 500)));
    }
    for (size_t j = 0; j < sentence.size(); ++j) {
      for (size_t k = 1; k <= kOrder && j + k <= sentence.size(); ++k) {
        ngrams[k - 1].insert({sentence.begin() + j, sentence.begin() + j + k});
      }
    }
    (i % 2 == 0 ? even : odd).AddSentence(sentence);
  }
  odd.Merge(even);
  for (int k = 1; k <= kOrder; ++k) {
    const auto exact = static_cast<double>(ngrams[k - 1].size());
    EXPECT_NEAR(odd.Estimate(k), exact, 0.03 * exact) << "order " << k;
  }
}

TEST(NgramSketch, SmallNumbersAreNearlyExact) {
  NgramSketch sketch(1);
  EXPECT_EQ(sketch.Estimate(1), 0);
  for (int i = 0; i < 3; ++i) {
    sketch.AddSentence({SketchHash("a"), SketchHash("b")});
  }
  EXPECT_NEAR(sketch.Estimate(1), 2, 0.01);
}

}  // namespace
}  // namespace lmserve
