// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_NGRAM_TABLE_OF_MODEL_H_
#define LMSERVE_TRAINER_NGRAM_TABLE_OF_MODEL_H_

#include "absl/status/statusor.h"
#include "models/ngram/ngram_set.h"
#include "models/ngram/ngram_table.h"

namespace lmserve {

// Returns the table of a model, from which a file of the same model is made.
// Thread-safe.
NgramTable CopyTable(const NgramSet& model);

// Returns the table from which BuildNgramFile() makes the same model, but for
// the layout. Its words
// are those of the model's vocabulary. Fails with FAILED_PRECONDITION for a
// model of order 2 or higher whose rule for unseen words is not
// UnseenRule::kBackOff (additive smoothing, stupid back-off). Thread-safe.
absl::StatusOr<NgramTable> TableOf(const NgramSet& model);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_NGRAM_TABLE_OF_MODEL_H_
