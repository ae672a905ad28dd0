// SPDX-License-Identifier: Apache-2.0
#include "models/distribution.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "gtest/gtest.h"
#include "hwy/highway.h"

namespace lmserve {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// ln P of n words; some are impossible, and some equally probable.
std::vector<float> RandomRow(size_t n, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<double> shares(n);
  double sum = 0;
  for (double& share : shares) {
    share = random() % 5 == 0 ? 0 : std::exp(random() % 20);
    sum += share;
  }
  if (sum == 0) shares[0] = sum = 1;
  std::vector<float> row;
  for (double share : shares) {
    row.push_back(static_cast<float>(std::log(share / sum)));
  }
  return row;
}

std::vector<ScoredWord> Sorted(const std::vector<float>& row) {
  std::vector<ScoredWord> words;
  for (WordId w = 0; w < row.size(); ++w) words.push_back({w, row[w]});
  std::sort(words.begin(), words.end(), Likelier);
  return words;
}

TEST(DistributionTest, BestWordsAndRanksAreThoseOfTheSortedRow) {
  for (size_t n : {1, 2, 3, 10, 100, 1000}) {
    const std::vector<float> row = RandomRow(n, static_cast<uint32_t>(n));
    const std::vector<ScoredWord> sorted = Sorted(row);
    for (size_t k : {size_t{0}, size_t{1}, std::min<size_t>(n, 7), n}) {
      std::vector<ScoredWord> best(k);
      TakeBest(row, absl::MakeSpan(best));
      for (size_t i = 0; i < k; ++i) {
        EXPECT_EQ(best[i].word, sorted[i].word);
        EXPECT_EQ(best[i].log_prob, sorted[i].log_prob);
      }
    }
    for (size_t i = 0; i < n; ++i) {
      EXPECT_EQ(RankOf(row, sorted[i].word), i + 1);
    }
  }
}

// The parameter is the instruction set: a target of Highway.
class EntropyTest : public testing::TestWithParam<int64_t> {
 protected:
  void SetUp() override { Choose(GetParam()); }
  void TearDown() override { Choose(0); }

  static void Choose(int64_t target) {
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  }
};

TEST_P(EntropyTest, EqualsTheSum) {
  for (size_t n : {1, 5, 16, 17, 100, 5000, 40000}) {
    const std::vector<float> row = RandomRow(n, static_cast<uint32_t>(n));
    double expected = 0;
    for (float x : row) {
      if (x != -kInfinity) expected -= std::exp(double{x}) * x;
    }
    EXPECT_NEAR(Entropy(row), expected, 1e-5 * std::max(1.0, expected));
  }
}

TEST_P(EntropyTest, OfOneCertainWordAndOfEqualWords) {
  EXPECT_EQ(Entropy({-kInfinity, 0, -kInfinity}), 0);
  EXPECT_EQ(Entropy({0, -200}), 0);
  const std::vector<float> equal(50, -std::log(50.0f));
  EXPECT_NEAR(Entropy(equal), std::log(50.0), 1e-5);
}

INSTANTIATE_TEST_SUITE_P(Processors, EntropyTest,
                         testing::ValuesIn(hwy::SupportedAndGeneratedTargets()),
                         [](const auto& info) {
                           return std::string(hwy::TargetName(info.param));
                         });

}  // namespace
}  // namespace lmserve
