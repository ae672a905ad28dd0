#include "trainer/mert.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lmserve {
namespace {

using testing::Each;
using testing::ElementsAre;

using Vector = std::vector<double>;

// Between -1 and 1.
double Uniform(std::mt19937_64& random) {
  return static_cast<double>(random() % 2001) / 1000 - 1;
}

// Lists of texts of ten words, of which some are right; the more of them are,
// the higher is the candidate's sum of features by the hidden weights, but for
// some noise.
struct Task {
  Task(size_t lists_count, size_t candidates, const Vector& hidden,
       double noise, uint64_t seed) {
    std::mt19937_64 random(seed);
    for (size_t f = 0; f < hidden.size(); ++f) {
      lists.feature_names.push_back(std::string(1, static_cast<char>('a' + f)));
    }
    for (size_t i = 0; i < lists_count; ++i) {
      NbestList& list = lists.lists.emplace_back();
      list.id = std::to_string(i);
      for (size_t c = 0; c < candidates; ++c) {
        Vector features;
        for (size_t f = 0; f < hidden.size(); ++f) {
          features.push_back(10 * Uniform(random));
        }
        double value = 0;
        for (size_t f = 0; f < hidden.size(); ++f) {
          value += hidden[f] * features[f];
        }
        value += noise * Uniform(random);
        std::string text;
        for (int word = 0; word < 10; ++word) {
          text += value > word - 5 ? "right " : "wrong ";
        }
        list.candidates.push_back({text, features, {}});
      }
      references.push_back(
          {"right right right right right right right right "
           "right right"});
    }
  }

  NbestCounts Count() const { return {lists, references, *metric}; }

  NbestLists lists;
  std::vector<std::vector<std::string>> references;
  std::unique_ptr<const Metric> metric = MakeMetric("wer", "none").value();
};

Vector Step(const Vector& weights, const Vector& direction, double step) {
  Vector stepped = weights;
  for (size_t f = 0; f < stepped.size(); ++f) stepped[f] += step * direction[f];
  return stepped;
}

double ScoreAt(const Task& task, const NbestCounts& counts,
               const Vector& weights) {
  return counts.Score(ChooseWeighted(task.lists, weights));
}

// Where two candidates of a list are equal, anywhere.
Vector AllCrossings(const Task& task, const Vector& weights,
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

// The best score in all parts of the line between crossings.
double BestByBruteForce(const Task& task, const NbestCounts& counts,
                        const Vector& weights, const Vector& direction) {
  const Vector crossings = AllCrossings(task, weights, direction);
  Vector steps = {0, crossings.front() - 1, crossings.back() + 1};
  for (size_t i = 1; i < crossings.size(); ++i) {
    steps.push_back((crossings[i - 1] + crossings[i]) / 2);
  }
  double best = ScoreAt(task, counts, weights);
  for (double step : steps) {
    best =
        std::min(best, ScoreAt(task, counts, Step(weights, direction, step)));
  }
  return best;
}

TEST(SearchLineTest, FindsTheBestStepThereIs) {
  int moved = 0;
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    const Task task(5, 8, {1, -0.5, 0.2}, 5, seed);
    const NbestCounts counts = task.Count();
    std::mt19937_64 random(seed);
    const Vector weights = {Uniform(random), Uniform(random), Uniform(random)};
    const Vector direction = {Uniform(random), Uniform(random),
                              Uniform(random)};
    const double step = SearchLine(task.lists, counts, weights, direction);
    EXPECT_NEAR(ScoreAt(task, counts, Step(weights, direction, step)),
                BestByBruteForce(task, counts, weights, direction), 1e-9)
        << seed;
    moved += step != 0;
  }
  EXPECT_GT(moved, 15);
}

TEST(SearchLineTest, StaysWhereNothingIsBetter) {
  const Task task(5, 8, {1}, 0, 1);
  EXPECT_EQ(SearchLine(task.lists, task.Count(), {1}, {1}), 0);
  // Features that are the same all over a list change nothing.
  EXPECT_EQ(SearchLine(task.lists, task.Count(), {0}, {0}), 0);
}

// To the far left and to the far right there is no other end.
TEST(SearchLineTest, FindsTheEndsOfTheLine) {
  const Task task(5, 8, {1}, 0, 1);
  const NbestCounts counts = task.Count();
  EXPECT_GT(SearchLine(task.lists, counts, {-1}, {1}), 1);
  EXPECT_LT(SearchLine(task.lists, counts, {-1}, {-1}), -1);
}

TEST(TuneByMertTest, FindsHiddenWeights) {
  const Vector hidden = {1, -0.5, 0.25, 0};
  const Task task(60, 20, hidden, 0, 1);
  const NbestCounts counts = task.Count();
  const Vector tuned = TuneByMert(task.lists, counts, {0, 0, 0, 0}, {});
  EXPECT_NEAR(ScoreAt(task, counts, tuned), ScoreAt(task, counts, hidden), 1);
  EXPECT_NEAR(std::abs(tuned[0]) + std::abs(tuned[1]) + std::abs(tuned[2]) +
                  std::abs(tuned[3]),
              1, 1e-9);
  EXPECT_GT(tuned[0], 0.3);
  EXPECT_LT(tuned[1], -0.1);
}

TEST(TuneByMertTest, NeverWorseThanTheStart) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    const Task task(10, 5, {1, -1}, 20, seed);
    const NbestCounts counts = task.Count();
    const Vector start = {1, -1};
    const Vector tuned = TuneByMert(task.lists, counts, start,
                                    {.restarts = 1, .random_directions = 0});
    EXPECT_LE(ScoreAt(task, counts, tuned), ScoreAt(task, counts, start));
  }
}

TEST(TuneByMertTest, TheSameSeedTheSameWeights) {
  const Task task(10, 5, {1, -1, 1}, 10, 1);
  const NbestCounts counts = task.Count();
  const auto tune = [&](uint64_t seed) {
    return TuneByMert(task.lists, counts, {0, 0, 0}, {.seed = seed});
  };
  EXPECT_EQ(tune(1), tune(1));
  EXPECT_NE(tune(1), tune(2));
}

TEST(TuneByMertTest, OfOneCandidateAListNothingIsToBeLearnt) {
  const Task task(10, 1, {1, -1}, 0, 1);
  EXPECT_THAT(TuneByMert(task.lists, task.Count(), {0, 0}, {}), Each(0));
  EXPECT_THAT(FindIdentifiable(task.lists), Each(false));
}

TEST(FindIdentifiableTest, WhatFollowsFromOthersIsNot) {
  Task task(10, 6, {1, 1, 1, 1, 1}, 0, 1);
  for (size_t i = 0; i < task.lists.lists.size(); ++i) {
    for (NbestCandidate& candidate : task.lists.lists[i].candidates) {
      Vector& features = candidate.features;
      features[1] = static_cast<double>(i);  // the same all over the list
      features[3] = 2 * features[0] - features[2] + static_cast<double>(i);
    }
  }
  EXPECT_THAT(FindIdentifiable(task.lists),
              ElementsAre(true, false, true, false, true));
}

}  // namespace
}  // namespace lmserve
