#ifndef LMSERVE_MODELS_NGRAM_NGRAM_BUILDER_H_
#define LMSERVE_MODELS_NGRAM_NGRAM_BUILDER_H_

#include <string>

#include "absl/status/statusor.h"
#include "models/ngram/ngram_table.h"

namespace lmserve {

// Makes the bytes of ngram.bin from a table: orders the children of each
// context likeliest first, hashes those of the large contexts, and links each
// n-gram to the longest suffix that is a context. n-grams may lack suffixes (a
// pruned model), but not their contexts: the form of the table sees to that.
//
// Takes about 17 bytes an n-gram beside the table. Fails with
// INVALID_ARGUMENT where a number in the table is none (NaN, a probability
// above 1 by more than rounding, a back-off above kMaxBackOff), and with
// RESOURCE_EXHAUSTED where 32 bits do not number the n-grams.
absl::StatusOr<std::string> BuildNgramFile(const NgramTable& table);

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NGRAM_NGRAM_BUILDER_H_
