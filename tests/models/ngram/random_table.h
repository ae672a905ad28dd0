// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TESTS_MODELS_NGRAM_RANDOM_TABLE_H_
#define LMSERVE_TESTS_MODELS_NGRAM_RANDOM_TABLE_H_

#include <cstdint>

#include "models/ngram/ngram_table.h"
#include "models/vocabulary.h"

namespace lmserve {

// Returns <unk>, <s>, </s> and further words, in this order.
Vocabulary NumberedVocabulary(WordId size);

// Returns a table over `size` words whose contexts have no children, few, up to
// kMaxScannedChildren, and more. Many suffixes of n-grams are missing. Some
// contexts have `most_children`.
NgramTable RandomTable(WordId size, UnseenRule rule, uint32_t seed,
                       uint32_t most_children = 40);

}  // namespace lmserve

#endif  // LMSERVE_TESTS_MODELS_NGRAM_RANDOM_TABLE_H_
