// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_VOCABULARY_H_
#define LMSERVE_MODELS_VOCABULARY_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "models/word_index.h"

namespace lmserve {

using WordId = uint32_t;

inline constexpr absl::string_view kUnknownWord = "<unk>";
// The spelling of <unk> in files of some other programs. Texts, vocabularies
// and ARPA files that are read may have it; it is never in a vocabulary that we
// make, and a model that has it treats it as an ordinary word.
inline constexpr absl::string_view kUnknownUppercase = "<UNK>";
inline constexpr absl::string_view kBeginSentence = "<s>";
inline constexpr absl::string_view kEndSentence = "</s>";

// The longest word of a vocabulary, in bytes.
inline constexpr size_t kMaxWordSize = 65'536;

// The words that a model knows, with the ids 0 to size() - 1. They include
// <unk>, <s> and </s>, whose ids may be any.
//
// Immutable after construction: any number of threads may use one instance.
class Vocabulary {
 public:
  // Parses the contents of vocabulary.txt: one word per line, in the order of
  // the ids; every line ends with LF. Returns INVALID_ARGUMENT, naming the
  // line, for an empty word, a word of more than kMaxWordSize bytes, white
  // space in a word, invalid UTF-8, a duplicate word, or a missing marker.
  static absl::StatusOr<Vocabulary> Parse(std::string text);

  // Creates a vocabulary from words in the order of their ids; copies them.
  // Fails as Parse() does.
  static absl::StatusOr<Vocabulary> Create(
      absl::Span<const absl::string_view> words);

  Vocabulary(Vocabulary&&) = default;
  Vocabulary& operator=(Vocabulary&&) = default;

  WordId size() const { return static_cast<WordId>(words_.size()); }

  // Returns the id of a word, or unknown() if the vocabulary does not have it.
  WordId Find(absl::string_view word) const;

  // Sets ids[i] to Find(words[i]), faster than Find() for each.
  void FindAll(absl::Span<const absl::string_view> words, WordId* ids) const;

  bool Contains(absl::string_view word) const {
    return index_.Find(words_, word) != WordIndex::kNotFound;
  }

  // REQUIRES: id < size(). The view lives as long as the vocabulary.
  absl::string_view word(WordId id) const { return words_[id]; }

  WordId unknown() const { return unknown_; }
  WordId begin_sentence() const { return begin_sentence_; }
  WordId end_sentence() const { return end_sentence_; }

  // The contents of vocabulary.txt, which Parse() reads.
  absl::string_view text() const { return *text_; }

 private:
  Vocabulary() = default;

  // The words below are views of this string. It is on the heap so that they
  // stay valid when the vocabulary is moved.
  std::unique_ptr<const std::string> text_;
  std::vector<absl::string_view> words_;
  WordIndex index_;
  WordId unknown_ = 0;
  WordId begin_sentence_ = 0;
  WordId end_sentence_ = 0;
};

// Returns OK if two vocabularies have the same words with the same ids, and
// otherwise INVALID_ARGUMENT with the first difference.
absl::Status CheckSameWords(const Vocabulary& expected,
                            const Vocabulary& found);

}  // namespace lmserve

#endif  // LMSERVE_MODELS_VOCABULARY_H_
