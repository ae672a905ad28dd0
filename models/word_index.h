// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_WORD_INDEX_H_
#define LMSERVE_MODELS_WORD_INDEX_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace lmserve {

// The numbers of words, by a hash table whose entries are 16 bytes. An entry
// has the letters of a word of up to 8 bytes, as most words of texts are, so
// that a look-up of one touches a single cache line.
//
// Immutable after the last Insert(): any number of threads may use one
// instance.
class WordIndex {
 public:
  static constexpr uint32_t kNotFound = 0xFFFFFFFF;

  WordIndex() = default;

  // Makes room for words, which Insert() will add: at most this many, and fewer
  // than 2^31.
  explicit WordIndex(size_t words);

  // Adds words[number]. Returns false, and adds nothing, if an equal word is
  // there. REQUIRES: all calls have the same words, to which more may have been
  // appended; 0 < words[number].size() < 2^32.
  bool Insert(absl::Span<const absl::string_view> words, uint32_t number);

  // Returns the number of a word, or kNotFound.
  uint32_t Find(absl::Span<const absl::string_view> words,
                absl::string_view word) const;

  // Sets numbers[i] to that of asked[i]. Waits for the memory of several words
  // at once, and so is faster than Find() for each, if the index is large.
  void FindAll(absl::Span<const absl::string_view> words,
               absl::Span<const absl::string_view> asked,
               uint32_t* numbers) const;

 private:
  struct Entry {
    uint64_t key = 0;  // see KeyOf()
    uint32_t number = 0;
    uint32_t size = 0;  // of the word, in bytes; 0: no word
  };
  struct Key {
    uint64_t value;
    size_t home;  // the entry where the search begins
  };

  // Returns what tells words of one size apart: of short words the letters, of
  // others a hash. REQUIRES: there are entries.
  Key KeyOf(absl::string_view word) const;

  // Returns the entry of a word, or the free one in which it would be.
  const Entry& Locate(absl::Span<const absl::string_view> words,
                      absl::string_view word, const Key& key) const;

  std::vector<Entry> entries_;  // at least one of them is free, or none exists
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_WORD_INDEX_H_
