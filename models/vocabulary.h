#ifndef LMSERVE_MODELS_VOCABULARY_H_
#define LMSERVE_MODELS_VOCABULARY_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace lmserve {

using WordId = uint32_t;

inline constexpr absl::string_view kUnknownWord = "<unk>";
inline constexpr absl::string_view kBeginSentence = "<s>";
inline constexpr absl::string_view kEndSentence = "</s>";

// The words a model knows, numbered 0 to size() - 1. <unk>, <s> and </s> are
// among them, under whatever ids.
//
// Immutable once made: any number of threads may use one at a time.
class Vocabulary {
 public:
  // Reads vocabulary.txt: one word a line, in the order of the ids, every line
  // ended by LF. Fails, naming the line, on an empty word, white space in a
  // word, invalid UTF-8, a word given twice, or a missing marker.
  static absl::StatusOr<Vocabulary> Parse(std::string text);

  // The same from words. They are copied.
  static absl::StatusOr<Vocabulary> Create(
      absl::Span<const absl::string_view> words);

  Vocabulary(Vocabulary&&) = default;
  Vocabulary& operator=(Vocabulary&&) = default;

  WordId size() const { return static_cast<WordId>(words_.size()); }

  // The id of a word, or unknown() where there is none.
  WordId Find(absl::string_view word) const;

  bool Contains(absl::string_view word) const { return ids_.contains(word); }

  // REQUIRES: id < size(). The view lives as long as the vocabulary.
  absl::string_view word(WordId id) const { return words_[id]; }

  WordId unknown() const { return unknown_; }
  WordId begin_sentence() const { return begin_sentence_; }
  WordId end_sentence() const { return end_sentence_; }

  // What Parse() reads; the bytes of vocabulary.txt.
  absl::string_view text() const { return *text_; }

 private:
  Vocabulary() = default;

  // Behind a pointer, so that the views stay valid when the object moves.
  std::unique_ptr<const std::string> text_;
  std::vector<absl::string_view> words_;
  absl::flat_hash_map<absl::string_view, WordId> ids_;
  WordId unknown_ = 0;
  WordId begin_sentence_ = 0;
  WordId end_sentence_ = 0;
};

// Whether two vocabularies have the same words under the same ids.
// INVALID_ARGUMENT, telling the first difference, where not.
absl::Status CheckSameWords(const Vocabulary& expected,
                            const Vocabulary& found);

}  // namespace lmserve

#endif  // LMSERVE_MODELS_VOCABULARY_H_
