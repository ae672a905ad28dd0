// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_FIND_WORDS_H_
#define LMSERVE_MODELS_FIND_WORDS_H_

#include <array>
#include <cstddef>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "models/vocabulary.h"

namespace lmserve {

// Finds words in a vocabulary, several at once, and appends their ids. Words
// that the vocabulary does not have become <unk>. `Ids` is a vector of WordIds.
// Not thread-safe.
template <typename Ids>
class WordFinder {
 public:
  // The vocabulary and the ids must outlive the finder.
  WordFinder(const Vocabulary& vocabulary, Ids* ids)
      : vocabulary_(vocabulary), ids_(*ids) {}
  WordFinder(const WordFinder&) = delete;
  WordFinder& operator=(const WordFinder&) = delete;

  // The word must stay as it is until Finish().
  void Add(absl::string_view word) {
    if (count_ == words_.size()) Finish();
    words_[count_++] = word;
  }

  // Appends the ids of the words that were added since the last call.
  void Finish() {
    const size_t before = ids_.size();
    ids_.resize(before + count_);
    vocabulary_.FindAll(absl::MakeConstSpan(words_).first(count_),
                        ids_.data() + before);
    count_ = 0;
  }

 private:
  const Vocabulary& vocabulary_;
  Ids& ids_;
  std::array<absl::string_view, 64> words_;
  size_t count_ = 0;
};

// Appends the ids of the words of a text, which is split as by ForEachWord().
// Words that the vocabulary does not have become <unk>.
void AppendWords(const Vocabulary& vocabulary, absl::string_view text,
                 std::vector<WordId>* ids);

// Returns these ids. Thread-safe.
std::vector<WordId> FindWords(const Vocabulary& vocabulary,
                              absl::string_view text);

}  // namespace lmserve

#endif  // LMSERVE_MODELS_FIND_WORDS_H_
