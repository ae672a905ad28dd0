// SPDX-License-Identifier: Apache-2.0
#include "trainer/tuning/nbest_features.h"

#include <cmath>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/trainer/neural/hidden_weights.h"

namespace lmserve {
namespace {

using testing::Each;
using testing::ElementsAre;

TEST(FindIdentifiableTest, DependentFeaturesAreNotIdentifiable) {
  HiddenWeights task(10, 6, {1, 1, 1, 1, 1}, 0, 1);
  for (size_t i = 0; i < task.lists.lists.size(); ++i) {
    for (NbestCandidate& candidate : task.lists.lists[i].candidates) {
      std::vector<double>& features = candidate.features;
      features[1] = static_cast<double>(i);  // constant within the list
      features[3] = 2 * features[0] - features[2] + static_cast<double>(i);
    }
  }
  EXPECT_THAT(FindIdentifiable(task.lists),
              ElementsAre(true, false, true, false, true));
}

TEST(FindIdentifiableTest, NoneIsIdentifiableWithOneCandidatePerList) {
  const HiddenWeights task(10, 1, {1, -1}, 0, 1);
  EXPECT_THAT(FindIdentifiable(task.lists), Each(false));
  EXPECT_THAT(FindUnits(task.lists), Each(0));
}

TEST(FindUnitsTest, AFeatureTimesItsUnitSpreadsByOne) {
  HiddenWeights task(2, 2, {1, 1}, 0, 1);
  const double values[2][2] = {{1, 5}, {-3, -7}};
  for (size_t i = 0; i < 2; ++i) {
    for (size_t c = 0; c < 2; ++c) {
      task.lists.lists[i].candidates[c].features = {values[i][c], 7};
    }
  }
  // Each value differs by 2 from the mean of its list.
  EXPECT_THAT(FindUnits(task.lists), ElementsAre(0.5, 0));
}

TEST(NormalizeWeightsTest, AbsoluteValuesAddUpToOne) {
  const HiddenWeights task(5, 4, {1, -1}, 0, 1);
  const NbestCounts counts = task.Count();
  EXPECT_THAT(NormalizeWeights(task.lists, counts, {6, -2}),
              ElementsAre(0.75, -0.25));
  EXPECT_THAT(NormalizeWeights(task.lists, counts, {0, 0}), Each(0));
}

}  // namespace
}  // namespace lmserve
