// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_TUNING_NBEST_FEATURES_H_
#define LMSERVE_TRAINER_TUNING_NBEST_FEATURES_H_

#include <vector>

#include "absl/types/span.h"
#include "trainer/tuning/nbest_evaluation.h"
#include "trainer/tuning/nbest_lists.h"

namespace lmserve {

// Properties of the features of n-best lists, for the tuning of weights.

// Returns which features have a weight that the lists can determine. A feature
// is not identifiable if, within each list, it is constant or, up to a
// constant, a weighted sum of the features before it: it is not needed for any
// order of the candidates.
std::vector<bool> FindIdentifiable(const NbestLists& lists);

// Returns the reciprocal of each feature's standard deviation within the lists,
// or 0 if it is not identifiable. Weights in these units are independent of the
// scales of the features.
std::vector<double> FindUnits(const NbestLists& lists);

// Scales the weights so that their absolute values sum to 1, unless all are 0.
// If the rounding changes the choice between nearly equal candidates for the
// worse, returns the weights as they are.
std::vector<double> NormalizeWeights(const NbestLists& lists,
                                     const NbestCounts& counts,
                                     absl::Span<const double> weights);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_TUNING_NBEST_FEATURES_H_
