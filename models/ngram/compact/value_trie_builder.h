// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_NGRAM_COMPACT_VALUE_TRIE_BUILDER_H_
#define LMSERVE_MODELS_NGRAM_COMPACT_VALUE_TRIE_BUILDER_H_

#include <string>

#include "absl/status/statusor.h"
#include "models/ngram/ngram_table.h"

namespace lmserve {

// The numbers of bits to which values can be quantized.
inline constexpr int kMinQuantizeBits = 2;
inline constexpr int kMaxQuantizeBits = 16;

// Returns the contents of ngram.bin in the layout of value_trie.h: with the
// values of BuildNgramFile() if `quantize_bits` is 0. Otherwise each order
// above the first has at most 2^quantize_bits different log-probabilities, and
// as many back-off weights, unless the exact weights take no more room. The
// values of the first order, probabilities 0 and weights 1 stay exact. The
// others are chosen so that the expected squared error of a word of a text is
// small.
//
// The table is as BuildNgramFile() requires it, and the errors are the same.
// Needs about 8 bytes of memory per n-gram besides the table and the file, and
// for a table that lacks suffixes a copy of it.
absl::StatusOr<std::string> BuildValueFile(const NgramTable& table,
                                           int quantize_bits);

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NGRAM_COMPACT_VALUE_TRIE_BUILDER_H_
