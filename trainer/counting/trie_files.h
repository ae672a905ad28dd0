// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_COUNTING_TRIE_FILES_H_
#define LMSERVE_TRAINER_COUNTING_TRIE_FILES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "trainer/counting/counts_directory.h"
#include "trainer/counting/run_threads.h"
#include "trainer/counting/work_directory.h"

namespace lmserve {

// The n-grams of a text as files, one order ("level") after the other. The
// n-grams of order k are sorted by their context, in the order of the contexts
// in order k - 1, and then by the id of their last word. The position of an
// n-gram in its order, from 0, is its index. Order 1 has every word of the
// vocabulary, so that the index of a word is its id.

// What is known of the files.
struct TrieShape {
  uint64_t vocabulary = 0;
  std::vector<uint64_t> ngrams;  // [k - 1]: the number of n-grams of order k
  // The n-grams of order k that begin with <s> have the indices
  // begins[k - 1] to ends[k - 1] - 1.
  std::vector<uint64_t> begins, ends;

  int order() const { return static_cast<int>(ngrams.size()); }
  // The number of bytes of a word, and of an index in order k, in the files.
  int word_bytes() const;
  int index_bytes(int k) const;
};

// The names of the files of order k in a work directory, and what they have for
// each n-gram, in order: its last word (fixed size), the number of its
// children, which are the n-grams of order k + 1 that it is the context of
// (variable size), and how often it occurs in the text (variable size).
std::string TrieWordsFile(int k);
std::string TrieDegreesFile(int k);  // k < N
std::string TrieCountsFile(int k);
// Of LinkSuffixes(), which see. The index of the n-gram's suffix: the n-gram
// without its first word (fixed size); the rank of its last word among the
// children of the suffix of its context (variable size); and the number of
// different words before it in the text (variable size).
std::string TrieLinksFile(int k);     // 3 <= k < N
std::string TrieRanksFile(int k);     // k >= 3
std::string TrieAdjustedFile(int k);  // k < N

// Writes the words, degrees and counts of all orders from the windows of a
// directory, unless the work directory has them already.
absl::StatusOr<TrieShape> WriteTrie(const std::string& counts_directory,
                                    const CountsManifest& manifest,
                                    const StopFlag* stop, WorkDirectory& work);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_COUNTING_TRIE_FILES_H_
