// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_EVALUATION_CACHE_CHOICE_H_
#define LMSERVE_TRAINER_EVALUATION_CACHE_CHOICE_H_

#include <cstddef>
#include <vector>

#include "absl/types/span.h"
#include "trainer/evaluation/mixture_weights.h"

namespace lmserve {

// Chooses one candidate of each group, such as continuous caches that differ in
// theta, so that the mixture of a model and the chosen candidates gives a text
// the highest probability. log_probs[0][t] is ln P of word t under the model,
// log_probs[i][t] that under candidate i. A group lists candidates.
//
// Goes through the groups and replaces the candidate of each by the best one
// given those of the other groups, until none changes: this ends at a maximum
// that no single replacement improves. Ties go to the first candidate. The
// weights are fitted for each combination or, if `weights` is not empty,
// are these: that of the model, then one for each group.
//
// Returns the candidate of each group.
// REQUIRES: groups are not empty; FitMixtureWeights() accepts log_probs.
std::vector<size_t> ChooseCaches(absl::Span<const std::vector<float>> log_probs,
                                 absl::Span<const std::vector<size_t>> groups,
                                 absl::Span<const double> weights,
                                 const FitOptions& options);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_EVALUATION_CACHE_CHOICE_H_
