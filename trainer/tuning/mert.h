#ifndef LMSERVE_TRAINER_TUNING_MERT_H_
#define LMSERVE_TRAINER_TUNING_MERT_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "trainer/tuning/nbest_evaluation.h"
#include "trainer/tuning/nbest_lists.h"

namespace lmserve {

// Minimum error rate training (Och 2003): weights of features by which the best
// candidates of the lists have, together, the best score in a metric.

struct MertOptions {
  int restarts = 20;           // from weights drawn at random
  int random_directions = 10;  // searched beside those of single features
  uint64_t seed = 1;
};

// The step from `weights` in a direction that is best in the metric, found
// exactly: along the line each list's best candidate is that of an upper
// envelope of straight lines (Macherey et al. 2008), so that the metric changes
// at finitely many steps. 0 where no step is better than none.
double SearchLine(const NbestLists& lists, const NbestCounts& counts,
                  absl::Span<const double> weights,
                  absl::Span<const double> direction);

// The best weights found from those given and from others drawn at random:
// never worse than those given. Their absolute values add up to 1, unless all
// are 0; what is not identifiable keeps the weight that is given or has 0. The
// same for the same seed.
std::vector<double> TuneByMert(const NbestLists& lists,
                               const NbestCounts& counts,
                               absl::Span<const double> start,
                               const MertOptions& options);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_TUNING_MERT_H_
