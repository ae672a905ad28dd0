// SPDX-License-Identifier: Apache-2.0
#include "trainer/evaluation/mixture_weights.h"

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lmserve {
namespace {

using testing::DoubleNear;
using testing::ElementsAre;
using LogProbs = std::vector<std::vector<float>>;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr FitOptions kToTheEnd = {.iterations = 100'000, .gain = 0};

FitOptions Iterations(int iterations) {
  return {.iterations = iterations, .gain = -1};
}

// Returns ln P of words of several kinds: counts[k] words which member m gives
// the probability probabilities[m][k].
LogProbs Words(const std::vector<int>& counts,
               const std::vector<std::vector<double>>& probabilities) {
  LogProbs log_probs(probabilities.size());
  for (size_t m = 0; m < probabilities.size(); ++m) {
    for (size_t k = 0; k < counts.size(); ++k) {
      log_probs[m].insert(log_probs[m].end(), counts[k],
                          std::log(probabilities[m][k]));
    }
  }
  return log_probs;
}

// Computes ln P under weights in the simplest way.
double LogProb(const LogProbs& log_probs, const std::vector<double>& weights) {
  double total = 0;
  for (size_t t = 0; t < log_probs[0].size(); ++t) {
    double sum = 0;
    for (size_t m = 0; m < weights.size(); ++m) {
      sum += weights[m] * std::exp(double{log_probs[m][t]});
    }
    total += std::log(sum);
  }
  return total;
}

// Each member knows one word, so the best weights are the frequencies of the
// words.
TEST(MixtureWeightsTest, DisjointMembers) {
  const MixtureFit fit = FitMixtureWeights(
      Words({2, 3, 5}, {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}), kToTheEnd);
  EXPECT_THAT(fit.weights,
              ElementsAre(DoubleNear(0.2, 1e-12), DoubleNear(0.3, 1e-12),
                          DoubleNear(0.5, 1e-12)));
  EXPECT_NEAR(fit.log_prob,
              2 * std::log(0.2) + 3 * std::log(0.3) + 5 * std::log(0.5), 1e-9);
  EXPECT_EQ(fit.impossible, 0u);
}

// With the weight w of the first member, P(a) = 0.8 w + 0.2 (1 - w). The
// likelihood is highest if P(a) is a's frequency, 0.6: w = 0.4 / 0.6.
TEST(MixtureWeightsTest, OverlappingMembers) {
  const LogProbs words = Words({60, 40}, {{0.8, 0.2}, {0.2, 0.8}});
  const MixtureFit fit = FitMixtureWeights(words, kToTheEnd);
  EXPECT_NEAR(fit.weights[0], 2.0 / 3, 1e-6);
  EXPECT_NEAR(fit.weights[1], 1.0 / 3, 1e-6);
  EXPECT_NEAR(fit.log_prob, LogProb(words, fit.weights), 1e-4);
  EXPECT_NEAR(fit.log_prob, 60 * std::log(0.6) + 40 * std::log(0.4), 1e-4);
}

// No mixture reaches the frequencies, so the better member gets all the weight.
TEST(MixtureWeightsTest, MemberThatIsAlwaysWorseGetsNoWeight) {
  const MixtureFit fit =
      FitMixtureWeights(Words({9, 1}, {{0.7, 0.3}, {0.2, 0.2}}), kToTheEnd);
  EXPECT_THAT(fit.weights,
              ElementsAre(DoubleNear(1, 1e-6), DoubleNear(0, 1e-6)));
}

TEST(MixtureWeightsTest, OneMember) {
  const MixtureFit fit = FitMixtureWeights(Words({1, 1}, {{0.5, 0.25}}));
  EXPECT_THAT(fit.weights, ElementsAre(1));
  EXPECT_EQ(fit.iterations, 1);
  EXPECT_NEAR(fit.log_prob, std::log(0.125), 1e-7);
}

LogProbs RandomWords(unsigned seed, size_t members, size_t words) {
  std::mt19937 random(seed);
  LogProbs log_probs(members, std::vector<float>(words));
  for (std::vector<float>& member : log_probs) {
    for (float& log_prob : member) {
      const uint32_t draw = random() % 1000;
      log_prob = draw < 50 ? -kInfinity : -static_cast<float>(draw) / 50;
    }
  }
  return log_probs;
}

TEST(MixtureWeightsTest, LikelihoodNeverFalls) {
  for (unsigned seed = 0; seed < 20; ++seed) {
    const LogProbs words = RandomWords(seed, 2 + seed % 4, 500);
    double before = FitMixtureWeights(words, Iterations(0)).log_prob;
    for (int i = 1; i <= 50; ++i) {
      const MixtureFit fit = FitMixtureWeights(words, Iterations(i));
      ASSERT_EQ(fit.iterations, i);
      ASSERT_GE(fit.log_prob, before - 1e-9 * std::abs(before));
      double sum = 0;
      for (double weight : fit.weights) sum += weight;
      ASSERT_NEAR(sum, 1, 1e-12);
      before = fit.log_prob;
    }
  }
}

// Compares the fit with a grid of weights in steps of 0.01.
TEST(MixtureWeightsTest, MatchesAGridSearch) {
  for (unsigned seed = 0; seed < 5; ++seed) {
    LogProbs words = RandomWords(seed, 2, 300);
    for (float& log_prob : words[0]) log_prob = std::max(log_prob, -30.0f);
    const MixtureFit fit = FitMixtureWeights(words, kToTheEnd);
    EXPECT_NEAR(fit.log_prob, LogProb(words, fit.weights), 1e-6);
    for (int w = 1; w < 100; ++w) {
      EXPECT_GE(fit.log_prob + 1e-6,
                LogProb(words, {w / 100.0, 1 - w / 100.0}));
    }
  }
}

TEST(MixtureWeightsTest, ImpossibleWordsAreIgnored) {
  const MixtureFit fit =
      FitMixtureWeights(Words({2, 7, 3}, {{1, 0, 0}, {0, 0, 1}}), kToTheEnd);
  EXPECT_EQ(fit.impossible, 7u);
  EXPECT_THAT(fit.weights,
              ElementsAre(DoubleNear(0.4, 1e-12), DoubleNear(0.6, 1e-12)));
  const MixtureFit none = FitMixtureWeights(Words({4}, {{0}, {0}}));
  EXPECT_EQ(none.impossible, 4u);
  EXPECT_THAT(none.weights, ElementsAre(0.5, 0.5));
  EXPECT_EQ(none.iterations, 0);
}

// exp() of these numbers is 0 in double precision.
TEST(MixtureWeightsTest, TinyProbabilities) {
  const LogProbs words = {{-2000, -3000}, {-3000, -2000}};
  const MixtureFit fit = FitMixtureWeights(words, kToTheEnd);
  EXPECT_THAT(fit.weights,
              ElementsAre(DoubleNear(0.5, 1e-12), DoubleNear(0.5, 1e-12)));
  EXPECT_NEAR(fit.log_prob, -4000 + 2 * std::log(0.5), 1e-6);
}

TEST(MixtureWeightsTest, StopsWhenTheGainIsSmall) {
  const LogProbs words = Words({60, 40}, {{0.8, 0.2}, {0.2, 0.8}});
  const MixtureFit rough = FitMixtureWeights(words, {.gain = 1e-3});
  const MixtureFit fine = FitMixtureWeights(words);
  EXPECT_LT(rough.iterations, fine.iterations);
  EXPECT_LT(fine.iterations, FitOptions().iterations);
  EXPECT_NEAR(fine.weights[0], 2.0 / 3, 1e-2);
}

}  // namespace
}  // namespace lmserve
