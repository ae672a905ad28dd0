// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_NGRAM_COMPACT_SUFFIX_CLOSURE_H_
#define LMSERVE_MODELS_NGRAM_COMPACT_SUFFIX_CLOSURE_H_

#include <cstdint>
#include <limits>
#include <vector>

#include "models/ngram/ngram_table.h"

namespace lmserve {

// The suffix of an n-gram is the n-gram without its first word. A pruned model
// may lack it. The layout of value_trie.h needs all suffixes, so they are added
// as blanks, which have no probability.

inline constexpr uint32_t kNoSuffix = std::numeric_limits<uint32_t>::max();

// The suffixes of the n-grams of all orders but the first: element [k - 2][i]
// is the index of the suffix of n-gram i of order k in the level of order
// k - 1, or kNoSuffix.
using SuffixLinks = std::vector<std::vector<uint32_t>>;

// REQUIRES: the table is sorted, as NgramTable says.
SuffixLinks FindSuffixes(const NgramTable& table);

// Whether every n-gram has its suffix.
bool IsClosed(const SuffixLinks& links);

// Returns the table with the suffixes that it lacks, the suffixes of these, and
// so on. They have the log-probability kBlankLogProb and the back-off weight 0
// (ln 1). REQUIRES: the links are those of the table.
NgramTable AddBlanks(const NgramTable& table, const SuffixLinks& links);

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NGRAM_COMPACT_SUFFIX_CLOSURE_H_
