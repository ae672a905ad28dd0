#ifndef LMSERVE_TRAINER_TUNING_MIRA_H_
#define LMSERVE_TRAINER_TUNING_MIRA_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "trainer/tuning/nbest_evaluation.h"
#include "trainer/tuning/nbest_lists.h"

namespace lmserve {

// The margin infused relaxed algorithm on n-best lists, "k-best batch MIRA"
// (Cherry and Foster 2012): list by list the weights move as little as they
// must for the candidate that weights and metric like (hope) to be ahead of the
// one that the weights like and the metric does not (fear), by as much as it is
// better. Unlike a search of lines (mert.h) it goes well with many features.

struct MiraOptions {
  size_t epochs = 60;    // passes over the lists
  double c = 0.01;       // bounds the size of a step
  double decay = 0.999;  // of the counts of sentences before, by sentence
  uint64_t seed = 1;     // of the order of the lists in each epoch
};

// The best weights found from those given: of the averages after each epoch
// that which is best in the metric, or those given where none is better. Their
// absolute values add up to 1, unless all are 0; what is not identifiable keeps
// its part of what is given. In units in which all features spread alike
// (FindUnits), so that the scale of none matters. The same for the same seed.
std::vector<double> TuneByMira(const NbestLists& lists,
                               const NbestCounts& counts,
                               absl::Span<const double> start,
                               const MiraOptions& options);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_TUNING_MIRA_H_
