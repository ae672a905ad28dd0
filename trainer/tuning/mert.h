// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_TUNING_MERT_H_
#define LMSERVE_TRAINER_TUNING_MERT_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "trainer/tuning/nbest_evaluation.h"
#include "trainer/tuning/nbest_lists.h"

namespace lmserve {

// Minimum error rate training (Och 2003): a search for the feature weights
// whose choices from n-best lists have the best score in a metric.

struct MertOptions {
  int restarts = 20;           // additional searches from random weights
  int random_directions = 10;  // in addition to one per feature
  uint64_t seed = 1;
};

// Finds the factor `step` for which the weights `weights + step * direction`
// are best in the metric. The search is exact: along the line, the best
// candidates of a list form the upper envelope of straight lines (Macherey et
// al. 2008), so the metric changes only at finitely many steps. Returns 0 if no
// step is better.
double SearchLine(const NbestLists& lists, const NbestCounts& counts,
                  absl::Span<const double> weights,
                  absl::Span<const double> direction);

// Returns the best weights found by searches from `start` and from random
// weights; they are never worse than `start`. Their absolute values sum to 1,
// unless all are 0. A feature that is not identifiable (FindIdentifiable())
// keeps its weight or gets 0. The same seed gives the same result.
std::vector<double> TuneByMert(const NbestLists& lists,
                               const NbestCounts& counts,
                               absl::Span<const double> start,
                               const MertOptions& options);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_TUNING_MERT_H_
