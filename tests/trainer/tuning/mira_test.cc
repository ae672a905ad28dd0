// SPDX-License-Identifier: Apache-2.0
#include "trainer/tuning/mira.h"

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/trainer/neural/hidden_weights.h"

namespace lmserve {
namespace {

using testing::Each;
using testing::ElementsAre;

using Vector = std::vector<double>;

// Applies a function to the features of all candidates.
template <typename Become>
void Change(HiddenWeights* task, Become become) {
  for (NbestList& list : task->lists.lists) {
    for (NbestCandidate& candidate : list.candidates) {
      become(&candidate.features);
    }
  }
}

double Cosine(const Vector& a, const Vector& b) {
  double ab = 0, aa = 0, bb = 0;
  for (size_t f = 0; f < a.size(); ++f) {
    ab += a[f] * b[f];
    aa += a[f] * a[f];
    bb += b[f] * b[f];
  }
  return ab / std::sqrt(aa * bb);
}

double SumOfAbsolutes(const Vector& weights) {
  double sum = 0;
  for (double weight : weights) sum += std::abs(weight);
  return sum;
}

class MiraMetricTest : public testing::TestWithParam<std::string> {
 protected:
  HiddenWeights Make(size_t lists, size_t candidates, const Vector& hidden,
                     double noise, uint64_t seed) const {
    HiddenWeights task(lists, candidates, hidden, noise, seed);
    task.metric = MakeMetric(GetParam(), "none").value();
    return task;
  }
};

INSTANTIATE_TEST_SUITE_P(Metrics, MiraMetricTest,
                         testing::Values("bleu", "chrf", "wer"),
                         [](const auto& info) { return info.param; });

TEST_P(MiraMetricTest, FindsHiddenWeights) {
  const Vector hidden = {1, -0.5, 0.25, 0};
  const HiddenWeights task = Make(60, 20, hidden, 0, 1);
  const NbestCounts counts = task.Count();
  const Vector start(hidden.size());
  const Vector tuned = TuneByMira(task.lists, counts, start, {});
  EXPECT_GT(Cosine(tuned, hidden), 0.97);
  EXPECT_NEAR(SumOfAbsolutes(tuned), 1, 1e-9);
  EXPECT_TRUE(task.metric->IsBetter(task.ScoreAt(counts, tuned),
                                    task.ScoreAt(counts, start)));
}

TEST_P(MiraMetricTest, NeverWorseThanTheStart) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    const HiddenWeights task = Make(10, 5, {1, -1}, 20, seed);
    const NbestCounts counts = task.Count();
    for (const Vector& start : {Vector{1, -1}, Vector{-300, 1}}) {
      const Vector tuned =
          TuneByMira(task.lists, counts, start, {.epochs = 3, .c = 1});
      EXPECT_FALSE(task.metric->IsBetter(task.ScoreAt(counts, start),
                                         task.ScoreAt(counts, tuned)));
    }
  }
}

// More features than MERT can handle.
TEST(TuneByMiraTest, FindsManyHiddenWeights) {
  Vector hidden;
  for (int f = 0; f < 50; ++f) hidden.push_back(std::cos(f));
  const HiddenWeights task(300, 20, hidden, 0, 1);
  EXPECT_GT(
      Cosine(TuneByMira(task.lists, task.Count(), Vector(50), {}), hidden),
      0.9);
}

TEST(TuneByMiraTest, TheSameSeedGivesTheSameWeights) {
  const HiddenWeights task(20, 5, {1, -1, 1}, 10, 1);
  const NbestCounts counts = task.Count();
  const auto tune = [&](uint64_t seed) {
    return TuneByMira(task.lists, counts, {0, 0, 0}, {.seed = seed});
  };
  EXPECT_EQ(tune(1), tune(1));
  EXPECT_NE(tune(1), tune(2));
}

// The factors are powers of two, so scaling does not round.
TEST(TuneByMiraTest, TheScaleOfAFeatureDoesNotMatter) {
  const HiddenWeights task(30, 10, {1, -1, 0.5}, 2, 1);
  const Vector tuned = TuneByMira(task.lists, task.Count(), {1, 1, 1}, {});
  HiddenWeights scaled(30, 10, {1, -1, 0.5}, 2, 1);
  Change(&scaled, [](Vector* features) { (*features)[1] *= 0x1p20; });
  Vector weights =
      TuneByMira(scaled.lists, scaled.Count(), {1, 0x1p-20, 1}, {});
  weights[1] *= 0x1p20;
  const double sum = SumOfAbsolutes(weights);
  for (double& weight : weights) weight /= sum;
  for (size_t f = 0; f < weights.size(); ++f) {
    EXPECT_NEAR(weights[f], tuned[f], 1e-9) << f;
  }
}

TEST(TuneByMiraTest, TheScaleOfTheStartDoesNotMatter) {
  const HiddenWeights task(30, 10, {1, -1}, 2, 1);
  const NbestCounts counts = task.Count();
  EXPECT_EQ(TuneByMira(task.lists, counts, {-1, 2}, {}),
            TuneByMira(task.lists, counts, {-0x1p30, 0x1p31}, {}));
}

// A feature that is constant within each list gets no weight, and neither does
// one that is a function of another feature.
TEST(TuneByMiraTest, UnidentifiableFeaturesHaveNoWeight) {
  HiddenWeights task(30, 10, {1, -1, 0, 0}, 2, 1);
  Change(&task, [](Vector* features) {
    (*features)[2] = 1e6;
    (*features)[3] = 3 * (*features)[0];
  });
  const Vector tuned = TuneByMira(task.lists, task.Count(), {0, 0, 0, 0}, {});
  EXPECT_GT(tuned[0], 0);
  EXPECT_LT(tuned[1], 0);
  EXPECT_EQ(tuned[2], 0);
  EXPECT_EQ(tuned[3], 0);
}

TEST(TuneByMiraTest, OneCandidatePerListTeachesNothing) {
  const HiddenWeights task(10, 1, {1, -1}, 0, 1);
  EXPECT_THAT(TuneByMira(task.lists, task.Count(), {0, 0}, {}), Each(0));
  EXPECT_THAT(TuneByMira(task.lists, task.Count(), {3, -1}, {}),
              ElementsAre(0.75, -0.25));
}

// A list with one candidate carries no information, but its sentence is
// counted.
TEST(TuneByMiraTest, ListsMayBeOfAnyLength) {
  HiddenWeights task(40, 10, {1, -1}, 0, 1);
  for (size_t i = 0; i < 40; i += 2) {
    task.lists.lists[i].candidates.resize(1 + i % 3);
  }
  EXPECT_GT(Cosine(TuneByMira(task.lists, task.Count(), {0, 0}, {}), {1, -1}),
            0.97);
}

// Texts or references without words lead to ratios of 0 / 0.
TEST_P(MiraMetricTest, WeightsAreFinite) {
  HiddenWeights task = Make(20, 5, {1, -1}, 0, 1);
  for (size_t i = 0; i < 20; ++i) {
    task.references[i][0].clear();
    if (i % 2 == 0) task.lists.lists[i].candidates[0].text.clear();
  }
  for (double weight : TuneByMira(task.lists, task.Count(), {1, 1},
                                  {.epochs = 1000, .decay = 0.5})) {
    EXPECT_TRUE(std::isfinite(weight));
  }
}

}  // namespace
}  // namespace lmserve
