// SPDX-License-Identifier: Apache-2.0
#include "trainer/tuning/mert.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/trainer/neural/hidden_weights.h"

namespace lmserve {
namespace {

using testing::Each;

using Vector = std::vector<double>;

Vector Step(const Vector& weights, const Vector& direction, double step) {
  Vector stepped = weights;
  for (size_t f = 0; f < stepped.size(); ++f) stepped[f] += step * direction[f];
  return stepped;
}

// Returns the steps at which two candidates of a list have equal scores.
Vector AllCrossings(const HiddenWeights& task, const Vector& weights,
                    const Vector& direction) {
  const auto dot = [](const Vector& a, const Vector& b) {
    return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
  };
  Vector crossings;
  for (const NbestList& list : task.lists.lists) {
    for (const NbestCandidate& a : list.candidates) {
      for (const NbestCandidate& b : list.candidates) {
        const double slope =
            dot(direction, b.features) - dot(direction, a.features);
        if (slope == 0) continue;
        crossings.push_back(
            (dot(weights, a.features) - dot(weights, b.features)) / slope);
      }
    }
  }
  std::sort(crossings.begin(), crossings.end());
  return crossings;
}

// Returns the best score over all intervals between crossings.
double BestByBruteForce(const HiddenWeights& task, const NbestCounts& counts,
                        const Vector& weights, const Vector& direction) {
  const Vector crossings = AllCrossings(task, weights, direction);
  Vector steps = {0, crossings.front() - 1, crossings.back() + 1};
  for (size_t i = 1; i < crossings.size(); ++i) {
    steps.push_back((crossings[i - 1] + crossings[i]) / 2);
  }
  double best = task.ScoreAt(counts, weights);
  for (double step : steps) {
    best = std::min(best, task.ScoreAt(counts, Step(weights, direction, step)));
  }
  return best;
}

TEST(SearchLineTest, FindsTheBestStep) {
  int moved = 0;
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    const HiddenWeights task(5, 8, {1, -0.5, 0.2}, 5, seed);
    const NbestCounts counts = task.Count();
    std::mt19937_64 random(seed);
    const Vector weights = {Uniform(random), Uniform(random), Uniform(random)};
    const Vector direction = {Uniform(random), Uniform(random),
                              Uniform(random)};
    const double step = SearchLine(task.lists, counts, weights, direction);
    EXPECT_NEAR(task.ScoreAt(counts, Step(weights, direction, step)),
                BestByBruteForce(task, counts, weights, direction), 1e-9)
        << seed;
    moved += step != 0;
  }
  EXPECT_GT(moved, 15);
}

TEST(SearchLineTest, StaysIfNoStepIsBetter) {
  const HiddenWeights task(5, 8, {1}, 0, 1);
  EXPECT_EQ(SearchLine(task.lists, task.Count(), {1}, {1}), 0);
  // A feature that is constant within each list changes nothing.
  EXPECT_EQ(SearchLine(task.lists, task.Count(), {0}, {0}), 0);
}

// The best step may lie beyond the first or the last crossing.
TEST(SearchLineTest, FindsTheEndsOfTheLine) {
  const HiddenWeights task(5, 8, {1}, 0, 1);
  const NbestCounts counts = task.Count();
  EXPECT_GT(SearchLine(task.lists, counts, {-1}, {1}), 1);
  EXPECT_LT(SearchLine(task.lists, counts, {-1}, {-1}), -1);
}

TEST(TuneByMertTest, FindsHiddenWeights) {
  const Vector hidden = {1, -0.5, 0.25, 0};
  const HiddenWeights task(60, 20, hidden, 0, 1);
  const NbestCounts counts = task.Count();
  const Vector tuned = TuneByMert(task.lists, counts, {0, 0, 0, 0}, {});
  EXPECT_NEAR(task.ScoreAt(counts, tuned), task.ScoreAt(counts, hidden), 1);
  EXPECT_NEAR(std::abs(tuned[0]) + std::abs(tuned[1]) + std::abs(tuned[2]) +
                  std::abs(tuned[3]),
              1, 1e-9);
  EXPECT_GT(tuned[0], 0.3);
  EXPECT_LT(tuned[1], -0.1);
}

TEST(TuneByMertTest, NeverWorseThanTheStart) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    const HiddenWeights task(10, 5, {1, -1}, 20, seed);
    const NbestCounts counts = task.Count();
    const Vector start = {1, -1};
    const Vector tuned = TuneByMert(task.lists, counts, start,
                                    {.restarts = 1, .random_directions = 0});
    EXPECT_LE(task.ScoreAt(counts, tuned), task.ScoreAt(counts, start));
  }
}

TEST(TuneByMertTest, TheSameSeedGivesTheSameWeights) {
  const HiddenWeights task(10, 5, {1, -1, 1}, 10, 1);
  const NbestCounts counts = task.Count();
  const auto tune = [&](uint64_t seed) {
    return TuneByMert(task.lists, counts, {0, 0, 0}, {.seed = seed});
  };
  EXPECT_EQ(tune(1), tune(1));
  EXPECT_NE(tune(1), tune(2));
}

TEST(TuneByMertTest, OneCandidatePerListTeachesNothing) {
  const HiddenWeights task(10, 1, {1, -1}, 0, 1);
  EXPECT_THAT(TuneByMert(task.lists, task.Count(), {0, 0}, {}), Each(0));
}

}  // namespace
}  // namespace lmserve
