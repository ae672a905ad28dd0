// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_COUNTING_TRIE_READER_H_
#define LMSERVE_TRAINER_COUNTING_TRIE_READER_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "trainer/counting/byte_file.h"
#include "trainer/counting/trie_files.h"
#include "trainer/counting/work_directory.h"

namespace lmserve {

// An n-gram of order k, of a known context.
struct TrieChild {
  WordId word = 0;  // its last word
  // The place of the word among the children of the suffix of the context,
  // which has all children of the context. At orders 1 and 2 it is the word.
  uint64_t rank = 0;
  // The count that Kneser-Ney smoothing uses, as AdjustedCounts() defines it:
  // below the highest order the number of different words before the n-gram, or
  // text_count if it begins with <s>; at the highest order text_count.
  uint64_t count = 0;
  uint64_t text_count = 0;  // how often it occurs in the text
};

// Reads the n-grams of order k, which must be linked, context by context: for
// each context of order k - 1, in order, its suffix and its children. A context
// may have no children. The suffix of a context is the context without its
// first word. Reading is sequential and needs a few buffers, whatever the size
// of the trie. Not thread-safe.
//
// Order 1 has one context, the empty one, whose children are all words of the
// vocabulary: also <s>, whose count is 0, and words with a text_count of 0.
class TrieReader {
 public:
  // REQUIRES: 1 <= k <= shape.order(); LinkSuffixes() has succeeded.
  static absl::StatusOr<std::unique_ptr<TrieReader>> Open(
      const TrieShape& shape, int k, const WorkDirectory& work);

  // Reads the next context. Returns false after the last one, and if a file
  // cannot be read or is damaged, as status() says.
  bool Next();

  // The index of the suffix of the context in order k - 2. 0, the empty
  // context, at order 2, and without a meaning at order 1.
  uint64_t suffix() const { return suffix_; }

  // In ascending order of the words, and of the ranks. Valid until Next().
  absl::Span<const TrieChild> children() const { return children_; }

  const absl::Status& status() const { return status_; }

 private:
  TrieReader(const TrieShape& shape, int k) : shape_(shape), k_(k) {}

  bool IsInRange(uint64_t ngram) const {
    return shape_.begins[k_ - 1] <= ngram && ngram < shape_.ends[k_ - 1];
  }
  absl::Status UpdateStatus();

  const TrieShape shape_;
  const int k_;
  // Null if the level does not have the file.
  std::unique_ptr<ByteReader> degrees_, links_, words_, counts_, ranks_,
      adjusted_;
  int link_bytes_ = 0;
  uint64_t context_ = 0;  // the number of contexts read
  uint64_t ngram_ = 0;    // the number of children read
  uint64_t suffix_ = 0;
  std::vector<TrieChild> children_;
  absl::Status status_;
};

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_COUNTING_TRIE_READER_H_
