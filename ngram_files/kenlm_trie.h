// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_NGRAM_FILES_KENLM_TRIE_H_
#define LMSERVE_NGRAM_FILES_KENLM_TRIE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "models/vocabulary.h"
#include "ngram_files/kenlm_layout.h"

namespace lmserve {

// The entries of one order, in the order of the file: by suffix (in the order
// of the entries of the order below), then by the first word.
struct KenlmEntries {
  std::vector<WordId> words;    // the first word of each n-gram
  std::vector<float> probs;     // log10 P of the last word after the others
  std::vector<float> backoffs;  // log10; empty at the highest order
  // Entry i is the suffix of the entries [children[i], children[i + 1]) of the
  // next order; size() + 1 elements, empty at the highest order.
  std::vector<uint32_t> children;

  size_t size() const { return words.size(); }
};

// A trie of KenLM, decoded and checked.
struct KenlmTrie {
  KenlmLayout layout;
  std::vector<absl::string_view> words;  // of the ids; views of the file
  std::vector<KenlmEntries> levels;      // of the orders 1, 2, ...

  // Returns the offset of the first byte of an entry in the file.
  uint64_t ByteOf(int order, size_t entry) const;
};

// Decodes a file. Needs at most 16 bytes of memory per n-gram, and 16 per word,
// besides the bytes, which must outlive the result. Checks everything: each
// hash against its word; that each `next` is in ascending order and the last
// one the end of the next order; that the children of an n-gram have ascending,
// valid words; that probabilities are numbers of at most 0, and back-off
// weights numbers of at most kMaxBackOff. Fails as ReadKenlmLayout() does.
absl::StatusOr<KenlmTrie> ReadKenlmTrie(absl::string_view bytes);

}  // namespace lmserve

#endif  // LMSERVE_NGRAM_FILES_KENLM_TRIE_H_
