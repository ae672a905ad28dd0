#ifndef LMSERVE_TRAINER_NGRAM_ESTIMATE_H_
#define LMSERVE_TRAINER_NGRAM_ESTIMATE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "models/ngram/ngram_table.h"
#include "trainer/ngram/ngram_counts.h"
#include "trainer/ngram/smoothing.h"

namespace lmserve {

struct EstimateOptions {
  SmoothingOptions smoothing;  // the size of the vocabulary is filled in
  // An n-gram of order k > 1 seen prune[k - 1] times or less is left out; the
  // last threshold holds for the higher orders too. Order 1 is never pruned.
  std::vector<uint32_t> prune;
};

struct Estimate {
  NgramTable table;
  std::vector<std::string> notes;  // for people: discounts, fallbacks
};

// Makes the probabilities of a model from counts. Discounts are found, and
// shares taken, before n-grams are pruned; what a pruned n-gram had goes to the
// leftover of its context, so that the distribution still sums to 1. Fails with
// INVALID_ARGUMENT where a parameter is out of its range, or the thresholds of
// pruning fall with the order.
absl::StatusOr<Estimate> EstimateModel(const NgramCounts& counts,
                                       const EstimateOptions& options);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_NGRAM_ESTIMATE_H_
