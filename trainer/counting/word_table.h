// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_COUNTING_WORD_TABLE_H_
#define LMSERVE_TRAINER_COUNTING_WORD_TABLE_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/hash/hash.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "models/vocabulary.h"
#include "trainer/text/marker_ids.h"

namespace lmserve {

// The most words or windows that files of counts may count in all, so that sums
// over some files do not overflow. No text comes near it.
inline constexpr uint64_t kMaxCounted = uint64_t{1} << 56;

// Adds a number to a sum. Returns false, and leaves the sum as it is, if it
// would be above kMaxCounted. REQUIRES: *sum <= kMaxCounted.
inline bool AddCounted(uint64_t number, uint64_t* sum) {
  if (number > kMaxCounted - *sum) return false;
  *sum += number;
  return true;
}

// A word of a text.
struct CountedWord {
  absl::string_view text;
  uint64_t count = 0;
  // A number that tells where the word occurs first: it is smaller the earlier
  // that is. 0 for the markers and for words that do not occur.
  uint64_t first = 0;
};

// The words of a text, or of a part of one, with their counts. Words get ids in
// the order in which they are added. Not thread-safe.
class WordTable {
 public:
  // Has the three markers.
  WordTable();

  WordTable(const WordTable&) = delete;
  WordTable& operator=(const WordTable&) = delete;

  // Returns the id of a word, which is added if the table does not have it.
  // Adds `count` to its count. `first` is where it occurs.
  WordId Add(absl::string_view word, uint64_t count, uint64_t first) {
    const auto found = ids_.find(word);
    const WordId id = found == ids_.end() ? Insert(word, first) : *found;
    words_[id].count += count;
    if (count > 0 && first < words_[id].first) words_[id].first = first;
    return id;
  }

  // Returns the id of a word and adds 1 to its count; if the table does not
  // have the word, those of <unk>.
  WordId Count(absl::string_view word) {
    const auto found = ids_.find(word);
    const WordId id = found == ids_.end() ? kUnknownId : *found;
    ++words_[id].count;
    return id;
  }

  WordId size() const { return static_cast<WordId>(words_.size()); }
  const CountedWord& word(WordId id) const { return words_[id]; }

  // About the memory that the table needs.
  uint64_t MemoryBytes() const {
    return text_bytes_ + words_.size() * sizeof(CountedWord) +
           ids_.capacity() * (sizeof(WordId) + 1);
  }

 private:
  struct Hash {
    using is_transparent = void;
    size_t operator()(absl::string_view word) const {
      return absl::Hash<absl::string_view>()(word);
    }
    size_t operator()(WordId id) const { return (*this)((*words)[id].text); }
    const std::deque<CountedWord>* words;
  };
  struct Equal {
    using is_transparent = void;
    bool operator()(WordId a, WordId b) const { return a == b; }
    bool operator()(WordId id, absl::string_view word) const {
      return (*words)[id].text == word;
    }
    bool operator()(absl::string_view word, WordId id) const {
      return (*words)[id].text == word;
    }
    const std::deque<CountedWord>* words;
  };

  WordId Insert(absl::string_view word, uint64_t first);

  std::deque<CountedWord> words_;
  absl::flat_hash_set<WordId, Hash, Equal> ids_;
  std::vector<std::unique_ptr<char[]>> blocks_;  // the bytes of the words
  char* block_next_ = nullptr;  // the free part of the last one
  size_t block_left_ = 0;
  uint64_t text_bytes_ = 0;
};

// Returns the ids of a table in the order of the ids of a model: the markers,
// then the words that occur at least `min_count` times, the most frequent
// first, and words of equal frequency in the order of their first occurrence.
// This is the order of Corpus, whatever the order in which the words were
// added.
std::vector<WordId> FrequencyOrder(const WordTable& table, uint64_t min_count);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_COUNTING_WORD_TABLE_H_
