// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_WORD_INDEX_H_
#define LMSERVE_MODELS_WORD_INDEX_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace lmserve {

// The places of words in a text, by a hash table whose entries are 16 bytes, so
// that a look-up touches one cache line of the table and one of the text.
//
// Immutable after the last Insert(): any number of threads may use one
// instance.
class WordIndex {
 public:
  static constexpr uint32_t kNotFound = 0xFFFFFFFF;

  WordIndex() = default;

  // Makes room for words, which Insert() will add: at most this many.
  explicit WordIndex(size_t words);

  // Adds the word text.substr(offset, size) with a number. Returns false, and
  // adds nothing, if it is there. REQUIRES: offset < 2^40; 0 < size < 2^24;
  // number < kNotFound; all calls have the same text.
  bool Insert(absl::string_view text, size_t offset, size_t size,
              uint32_t number);

  // Returns the number of a word, or kNotFound.
  uint32_t Find(absl::string_view text, absl::string_view word) const;

  // Sets numbers[i] to that of words[i]. Waits for the memory of several words
  // at once, and so is faster than Find() for each, if the index is large.
  void FindAll(absl::string_view text,
               absl::Span<const absl::string_view> words,
               uint32_t* numbers) const;

 private:
  struct Entry {
    uint32_t tag = 0;  // high bits of the hash
    uint32_t number = 0;
    uint64_t place = 0;  // the offset times 2^24, plus the size; 0: no word
  };

  // Returns the entry of a word, or the free one in which it would be.
  size_t Locate(absl::string_view text, absl::string_view word,
                uint64_t hash) const;

  std::vector<Entry> entries_;  // a power of two, or none
  uint64_t mask_ = 0;
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_WORD_INDEX_H_
