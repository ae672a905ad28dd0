// SPDX-License-Identifier: Apache-2.0
#include "trainer/evaluation/cache_choice.h"

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lmserve {
namespace {

using testing::ElementsAre;

std::vector<float> Logs(const std::vector<double>& probabilities) {
  std::vector<float> logs;
  logs.reserve(probabilities.size());
  for (double p : probabilities) logs.push_back(std::log(p));
  return logs;
}

// Candidates 1 to 3 know a part of the words; 2 knows the most.
const std::vector<std::vector<float>> kLogProbs = {
    Logs({0.1, 0.1, 0.1, 0.1}), Logs({0.9, 0, 0, 0}), Logs({0.9, 0.9, 0.9, 0}),
    Logs({0, 0, 0.5, 0.5})};

TEST(ChooseCachesTest, TakesTheBestOfAGroup) {
  EXPECT_THAT(ChooseCaches(kLogProbs, {{1, 2, 3}}, {}, {}), ElementsAre(2));
  EXPECT_THAT(ChooseCaches(kLogProbs, {{3, 1}}, {}, {}), ElementsAre(3));
  EXPECT_THAT(ChooseCaches(kLogProbs, {{1}}, {}, {}), ElementsAre(1));
}

TEST(ChooseCachesTest, GroupsComplementEachOther) {
  EXPECT_THAT(ChooseCaches(kLogProbs, {{1, 2}, {1, 3}}, {}, {}),
              ElementsAre(2, 3));
}

TEST(ChooseCachesTest, WithGivenWeights) {
  // A large weight of a cache that does not know most words is bad.
  EXPECT_THAT(ChooseCaches(kLogProbs, {{1, 2, 3}}, {0.01, 0.99}, {}),
              ElementsAre(2));
  EXPECT_THAT(ChooseCaches(kLogProbs, {{3, 1}}, {0.5, 0.5}, {}),
              ElementsAre(3));
}

TEST(ChooseCachesTest, TheFirstOfEqualOnes) {
  const std::vector<std::vector<float>> equal = {kLogProbs[0], kLogProbs[2],
                                                 kLogProbs[2]};
  EXPECT_THAT(ChooseCaches(equal, {{2, 1}}, {}, {}), ElementsAre(2));
  EXPECT_THAT(ChooseCaches(equal, {{1, 2}}, {}, {}), ElementsAre(1));
}

// No single replacement improves the choice.
TEST(ChooseCachesTest, ALocalMaximum) {
  std::mt19937 random(1);
  std::uniform_real_distribution<float> uniform(-6, 0);
  std::vector<std::vector<float>> log_probs(13, std::vector<float>(200));
  for (auto& row : log_probs) {
    for (float& x : row) x = uniform(random);
  }
  const std::vector<std::vector<size_t>> groups = {
      {1, 2, 3, 4}, {5, 6, 7, 8}, {9, 10, 11, 12}};
  const FitOptions fit = {.iterations = 1000};
  const auto quality = [&](const std::vector<size_t>& chosen) {
    std::vector<std::vector<float>> parts = {log_probs[0]};
    for (size_t c : chosen) parts.push_back(log_probs[c]);
    return FitMixtureWeights(parts, fit).log_prob;
  };
  const std::vector<size_t> chosen = ChooseCaches(log_probs, groups, {}, fit);
  const double best = quality(chosen);
  for (size_t g = 0; g < groups.size(); ++g) {
    for (size_t candidate : groups[g]) {
      std::vector<size_t> other = chosen;
      other[g] = candidate;
      EXPECT_LE(quality(other), best);
    }
  }
}

}  // namespace
}  // namespace lmserve
