// SPDX-License-Identifier: Apache-2.0
//
// Compares the algorithms for chains of labels with sums over all sequences.

#include "models/neural/label_chain.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "gtest/gtest.h"

namespace lmserve {
namespace {

constexpr double kImpossibleScore = -std::numeric_limits<double>::infinity();

// A chain with random parameters and the logits of a sentence.
class RandomChain {
 public:
  RandomChain(size_t steps, size_t labels, double range, uint32_t seed)
      : steps_(steps), labels_(labels), random_(seed) {
    std::uniform_real_distribution<double> uniform(-range, range);
    const auto draw = [&](size_t n) {
      std::vector<double> numbers(n);
      for (double& x : numbers) x = uniform(random_);
      return numbers;
    };
    transitions_ = draw(labels * labels);
    start_ = draw(labels);
    end_ = draw(labels);
    logits_ = draw(steps * labels);
  }

  // Forbids about a third of the transitions, but not to label 0.
  void ForbidSome() {
    for (size_t i = 0; i < transitions_.size(); ++i) {
      if (i % labels_ != 0 && random_() % 3 == 0) {
        transitions_[i] = kImpossibleScore;
      }
    }
    start_.back() = kImpossibleScore;
  }

  LabelChain<double> chain() const {
    return {
        {transitions_.data(), labels_, labels_}, start_.data(), end_.data()};
  }
  MatrixView<const double> logits() const {
    return {logits_.data(), steps_, labels_};
  }

  double Score(const std::vector<size_t>& labels) const {
    double score = start_[labels[0]] + end_[labels.back()];
    for (size_t t = 0; t < steps_; ++t) {
      score += logits_[t * labels_ + labels[t]];
      if (t > 0) score += transitions_[labels[t - 1] * labels_ + labels[t]];
    }
    return score;
  }

  template <typename Visit>
  void ForEachSequence(const Visit& visit) const {
    std::vector<size_t> labels(steps_);
    while (true) {
      visit(labels);
      size_t t = 0;
      while (t < steps_ && ++labels[t] == labels_) labels[t++] = 0;
      if (t == steps_) return;
    }
  }

 private:
  const size_t steps_, labels_;
  std::mt19937 random_;
  std::vector<double> transitions_, start_, end_, logits_;
};

void ExpectEqualToSums(const RandomChain& random, size_t steps, size_t labels) {
  double z = 0, best = kImpossibleScore;
  std::vector<size_t> best_labels;
  std::vector<double> single(steps * labels), pairs(steps * labels * labels);
  random.ForEachSequence([&](const std::vector<size_t>& y) {
    const double score = random.Score(y), p = std::exp(score);
    z += p;
    for (size_t t = 0; t < steps; ++t) {
      single[t * labels + y[t]] += p;
      if (t > 0) pairs[(t * labels + y[t - 1]) * labels + y[t]] += p;
    }
    if (score <= best) return;
    best = score;
    best_labels = y;
  });
  std::vector<size_t> found(steps);
  FindBestLabels(random.chain(), random.logits(), absl::MakeSpan(found));
  EXPECT_EQ(found, best_labels);
  const ChainSums<double> sums(random.chain(), random.logits());
  EXPECT_NEAR(sums.log_z(), std::log(z), 1e-12);
  for (size_t t = 0; t < steps; ++t) {
    std::vector<double> twice(labels * labels, 1);
    if (t > 0) sums.AddPairs(t, 2, {twice.data(), labels, labels});
    for (size_t j = 0; j < labels; ++j) {
      ASSERT_NEAR(std::exp(sums.LogMarginal(t, j)), single[t * labels + j] / z,
                  1e-12);
      for (size_t i = 0; t > 0 && i < labels; ++i) {
        const double pair = pairs[(t * labels + i) * labels + j] / z;
        ASSERT_NEAR(std::exp(sums.LogPair(t, i, j)), pair, 1e-12);
        ASSERT_NEAR(twice[i * labels + j], 1 + 2 * pair, 1e-12);
      }
    }
  }
}

TEST(LabelChainTest, EqualsSumsOverAllSequences) {
  for (uint32_t seed = 1; seed <= 20; ++seed) {
    for (size_t steps : {1, 2, 5}) {
      for (size_t labels : {1, 2, 4}) {
        ExpectEqualToSums(RandomChain(steps, labels, 3, seed), steps, labels);
      }
    }
  }
}

TEST(LabelChainTest, ForbiddenLabelsHaveProbabilityZero) {
  for (uint32_t seed = 1; seed <= 20; ++seed) {
    RandomChain random(4, 4, 2, seed);
    random.ForbidSome();
    ExpectEqualToSums(random, 4, 4);
  }
}

// Scores far apart must not overflow or lose the sum.
TEST(LabelChainTest, LargeScores) {
  const size_t steps = 50, labels = 3;
  const RandomChain random(steps, labels, 1e4, 7);
  const ChainSums<double> sums(random.chain(), random.logits());
  ASSERT_TRUE(std::isfinite(sums.log_z()));
  std::vector<size_t> best(steps);
  FindBestLabels(random.chain(), random.logits(), absl::MakeSpan(best));
  EXPECT_GE(sums.log_z(), random.Score(best) - 1e-6);
  for (size_t t = 0; t < steps; ++t) {
    double sum = 0;
    for (size_t j = 0; j < labels; ++j) {
      sum += std::exp(sums.LogMarginal(t, j));
    }
    ASSERT_NEAR(sum, 1, 1e-9);
    if (t == 0) continue;
    std::vector<double> pairs(labels * labels);
    sums.AddPairs(t, 1, {pairs.data(), labels, labels});
    for (size_t i = 0; i < pairs.size(); ++i) {
      ASSERT_NEAR(pairs[i], std::exp(sums.LogPair(t, i / labels, i % labels)),
                  1e-9);
    }
  }
}

// The sums do not depend on whether they are computed by products: the naive
// logarithms in the test are those of the definition. Most of the ranges need
// both ways.
TEST(LabelChainTest, EqualsTheRecursionByLogarithms) {
  const size_t steps = 12, labels = 7;
  for (double range : {0.1, 30.0, 300.0, 3000.0}) {
    RandomChain random(steps, labels, range, 11);
    if (range > 100) random.ForbidSome();
    const LabelChain<double> chain = random.chain();
    std::vector<double> alpha(labels), next(labels);
    for (size_t t = 0; t < steps; ++t) {
      for (size_t j = 0; j < labels; ++j) {
        double max = kImpossibleScore, sum = 0;
        for (size_t i = 0; t > 0 && i < labels; ++i) {
          max = std::max(max, alpha[i] + chain.transitions.row(i)[j]);
        }
        for (size_t i = 0; t > 0 && i < labels; ++i) {
          sum += std::exp(alpha[i] + chain.transitions.row(i)[j] - max);
        }
        next[j] = random.logits().row(t)[j] +
                  (t == 0 ? chain.start[j] : max + std::log(sum));
      }
      alpha.swap(next);
    }
    const ChainSums<double> sums(chain, random.logits());
    for (size_t j = 0; j < labels; ++j) {
      const double expected = alpha[j] + chain.end[j] - sums.log_z();
      EXPECT_NEAR(sums.LogMarginal(steps - 1, j), expected,
                  1e-12 * (1 + std::abs(alpha[j])));
    }
  }
}

// Of equal scores, the lower number wins.
TEST(LabelChainTest, TiesAreDecidedByTheNumber) {
  const std::vector<double> zeros(9);
  const LabelChain<double> chain = {
      {zeros.data(), 3, 3}, zeros.data(), zeros.data()};
  std::vector<size_t> labels(3, 9);
  FindBestLabels<double>(chain, {zeros.data(), 3, 3}, absl::MakeSpan(labels));
  EXPECT_EQ(labels, std::vector<size_t>(3, 0));
}

}  // namespace
}  // namespace lmserve
