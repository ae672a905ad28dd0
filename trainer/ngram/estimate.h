// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_NGRAM_ESTIMATE_H_
#define LMSERVE_TRAINER_NGRAM_ESTIMATE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "models/ngram/ngram_table.h"
#include "trainer/ngram/ngram_counts.h"
#include "trainer/ngram/smoothing.h"

namespace lmserve {

struct EstimateOptions {
  SmoothingOptions smoothing;  // EstimateModel() sets the vocabulary
  // N-grams of order k > 1 that occur at most prune[k - 1] times are left out.
  // The last threshold also applies to all higher orders. Order 1 is never
  // pruned, so prune[0] must be 0.
  std::vector<uint32_t> prune;
};

// INVALID_ARGUMENT, naming --prune, if the thresholds are not as
// EstimateOptions::prune says or decrease with the order.
absl::Status CheckPruning(absl::Span<const uint32_t> prune);

struct Estimate {
  NgramTable table;
  std::vector<std::string> notes;  // for the user: discounts and fallbacks
};

// Estimates the probabilities of a model from counts. Discounts and shares are
// computed before n-grams are pruned. The share of a pruned n-gram is added to
// the leftover of its context, so the distribution still sums to 1. Fails with
// INVALID_ARGUMENT if a parameter is out of its range, and like CheckPruning().
absl::StatusOr<Estimate> EstimateModel(const NgramCounts& counts,
                                       const EstimateOptions& options);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_NGRAM_ESTIMATE_H_
