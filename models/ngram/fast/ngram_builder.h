// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_NGRAM_FAST_NGRAM_BUILDER_H_
#define LMSERVE_MODELS_NGRAM_FAST_NGRAM_BUILDER_H_

#include <string>

#include "absl/status/statusor.h"
#include "models/ngram/ngram_table.h"

namespace lmserve {

// Builds the contents of ngram.bin from a table: sorts the children of each
// context by Likelier(), hashes the children of large contexts, and links each
// n-gram to its longest suffix that is a context. Suffixes of an n-gram may be
// missing, as in a pruned model. Its context always exists, because the table
// is a tree.
//
// Needs about 17 bytes of memory per n-gram in addition to the table. Returns
// INVALID_ARGUMENT for a NaN, a probability above 1 by more than rounding, or a
// back-off weight above kMaxBackOff, and RESOURCE_EXHAUSTED if 32-bit ids are
// too small for the number of n-grams. Thread-safe.
absl::StatusOr<std::string> BuildNgramFile(const NgramTable& table);

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NGRAM_FAST_NGRAM_BUILDER_H_
