// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_TUNING_MIRA_H_
#define LMSERVE_TRAINER_TUNING_MIRA_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "trainer/tuning/nbest_evaluation.h"
#include "trainer/tuning/nbest_lists.h"

namespace lmserve {

// The margin infused relaxed algorithm on n-best lists: "k-best batch MIRA"
// (Cherry and Foster 2012). For each list, the hope is a candidate with a high
// score and a high metric, the fear one with a high score and a low metric. The
// weights are changed by the smallest step after which the hope's score is
// higher than the fear's by the difference of their metrics. Unlike MERT
// (mert.h), this works with many features.

struct MiraOptions {
  size_t epochs = 60;    // passes over the lists
  double c = 0.01;       // maximum size of a step
  double decay = 0.999;  // of the counts of earlier sentences, per sentence
  uint64_t seed = 1;     // determines the order of the lists in each epoch
};

// Returns the best weights found from `start`: the average weights after the
// epoch that is best in the metric, or `start` if no epoch is better. Their
// absolute values sum to 1, unless all are 0. A feature that is not
// identifiable (FindIdentifiable()) keeps its share of `start`. The scales of
// the features do not matter (FindUnits()). The same seed gives the same
// result.
std::vector<double> TuneByMira(const NbestLists& lists,
                               const NbestCounts& counts,
                               absl::Span<const double> start,
                               const MiraOptions& options);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_TUNING_MIRA_H_
