// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_COUNTING_SUFFIX_LINKS_H_
#define LMSERVE_TRAINER_COUNTING_SUFFIX_LINKS_H_

#include <cstdint>

#include "absl/status/status.h"
#include "trainer/counting/run_threads.h"
#include "trainer/counting/trie_files.h"
#include "trainer/counting/work_directory.h"

namespace lmserve {

// Finds the suffix of every n-gram, order by order: the suffix of h w is the
// child w of the suffix of h. Writes the files of suffixes, ranks and adjusted
// counts, unless the work directory has them already.
//
// The children of an order's contexts are in memory while they are looked up.
// If all of them need more than `memory` bytes, the contexts are divided into
// slices, and the n-grams of the next order are read once for each slice.
// `threads` slices are worked on at a time.
absl::Status LinkSuffixes(const TrieShape& shape, uint64_t memory, int threads,
                          const StopFlag* stop, WorkDirectory& work);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_COUNTING_SUFFIX_LINKS_H_
