// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_NGRAM_COMPACT_ESTIMATE_H_
#define LMSERVE_TRAINER_NGRAM_COMPACT_ESTIMATE_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "trainer/ngram/estimate.h"
#include "trainer/ngram/ngram_counts.h"
#include "trainer/ngram/publish_ngram.h"

namespace lmserve {

struct CompactEstimate {
  NgramFileContents file;
  std::vector<std::string> notes;  // for the user, as Estimate::notes
};

// Whether the probabilities are a function of the counts of the model's
// n-grams: for modified Kneser-Ney and Witten-Bell smoothing without pruning.
// Then the compact layout stores the counts.
bool IsFunctionOfCounts(const EstimateOptions& options);

// Builds a model in the compact layout (models/ngram/compact/count_trie.h). It
// has the same probabilities as the model of EstimateModel(), but for rounding.
// Fails like CountTrieBuilder. REQUIRES: IsFunctionOfCounts(options).
absl::StatusOr<CompactEstimate> EstimateCompact(const NgramCounts& counts,
                                                const EstimateOptions& options);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_NGRAM_COMPACT_ESTIMATE_H_
