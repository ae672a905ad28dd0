// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_HANDLERS_ENCODED_TEXTS_H_
#define LMSERVE_SERVER_HANDLERS_ENCODED_TEXTS_H_

#include <map>

#include "absl/container/inlined_vector.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "lm/v1/language_model.pb.h"
#include "models/vocabulary.h"
#include "server/call/limits.h"

namespace lmserve {

// Why texts of a request were refused, by their indexes.
using TextFailures = std::map<size_t, absl::Status>;

// The word ids of the texts of one request. Texts may come as text, as words or
// as ids. One thread at a time; `vocabulary` and `limits` must outlive it.
class EncodedTexts {
 public:
  EncodedTexts(const Vocabulary& vocabulary, const Limits& limits)
      : vocabulary_(vocabulary), limits_(limits) {}

  struct Options {
    bool may_be_empty = false;
    bool add_end = false;  // adds </s> after the text
  };

  // Adds a text. Words that are not in the vocabulary become <unk>. A text that
  // is refused is not added. Fails with INVALID_ARGUMENT if the text is too
  // long or has no valid form, and with RESOURCE_EXHAUSTED if the texts
  // together are too long. Errors name the text by `field` and `index`, as in
  // texts[3]; a negative index stands for a field that is not repeated.
  absl::Status Add(const lm::v1::Text& text, absl::string_view field, int index,
                   const Options& options);

  // Like Add(), but a text that is refused with INVALID_ARGUMENT is added
  // without words, and its error becomes (*failures)[size()]. So is a text that
  // *failures already has, unread.
  absl::Status AddOrFail(const lm::v1::Text& text, absl::string_view field,
                         int index, const Options& options,
                         TextFailures* failures);

  // Adds the texts of a repeated field, each of which may be empty. Fails as
  // Add() does, with INVALID_ARGUMENT if there is no text, and with
  // RESOURCE_EXHAUSTED if there are more than Limits::texts.
  absl::Status AddAll(
      const google::protobuf::RepeatedPtrField<lm::v1::Text>& texts,
      absl::string_view field);

  size_t size() const { return ends_.size(); }

  // The ids of text i; valid until the next Add().
  absl::Span<const WordId> words(size_t i) const {
    return Part(all_words(), i);
  }

  // Returns the texts with these indexes, in the order of the indexes.
  EncodedTexts Select(absl::Span<const size_t> indexes) const;

  // Returns the end of the texts from `begin` on that have at most `words`
  // words together, where a text without words counts as one word; at least one
  // text is among them. REQUIRES: begin < size().
  size_t EndOfPart(size_t begin, size_t words) const;

  // Returns the number of words of text i that are <unk>.
  size_t CountUnknown(size_t i) const;

  // Returns the part of text i in `numbers`, which is parallel to all_words().
  template <typename T>
  absl::Span<T> Part(absl::Span<T> numbers, size_t i) const {
    const size_t begin = i == 0 ? 0 : ends_[i - 1];
    return numbers.subspan(begin, ends_[i] - begin);
  }

  // The ids of all texts, one text after the other.
  absl::Span<const WordId> all_words() const { return words_; }

 private:
  absl::Status AddForm(const lm::v1::Text& text);
  absl::Status AddText(absl::string_view text);
  absl::Status AddWords(const lm::v1::WordList& words);
  absl::Status AddIds(const lm::v1::WordIdList& ids);
  absl::Status CheckLength(size_t words) const;
  absl::Status CheckNoMarker(absl::Span<const WordId> words) const;

  const Vocabulary& vocabulary_;
  const Limits& limits_;
  absl::InlinedVector<WordId, 40> words_;
  absl::InlinedVector<size_t, 2> ends_;  // of the texts, in words_
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_HANDLERS_ENCODED_TEXTS_H_
