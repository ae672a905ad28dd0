// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_NGRAM_LOAD_COUNTS_H_
#define LMSERVE_TRAINER_NGRAM_LOAD_COUNTS_H_

#include "absl/status/statusor.h"
#include "trainer/counting/trie_files.h"
#include "trainer/counting/work_directory.h"
#include "trainer/ngram/ngram_counts.h"

namespace lmserve {

// Reads a linked trie into memory: the same counts as those of CountNgrams().
// Needs 16 bytes of memory per n-gram. Fails with RESOURCE_EXHAUSTED if the
// n-grams of an order, or a count, are too many for 32 bits.
absl::StatusOr<NgramCounts> LoadCounts(const TrieShape& shape,
                                       const WorkDirectory& work);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_NGRAM_LOAD_COUNTS_H_
