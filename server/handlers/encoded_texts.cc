// SPDX-License-Identifier: Apache-2.0
#include "server/handlers/encoded_texts.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "models/find_words.h"
#include "models/text.h"
#include "server/call/status.h"

namespace lmserve {

absl::Status EncodedTexts::Add(const lm::v1::Text& text,
                               absl::string_view field, int index,
                               const Options& options) {
  const size_t begin = words_.size();
  absl::Status status = AddForm(text);
  if (status.ok()) status = CheckNoMarker(all_words().subspan(begin));
  if (status.ok() && words_.size() == begin && !options.may_be_empty) {
    status = absl::InvalidArgumentError("expected a word, found none");
  }
  if (!status.ok()) {
    words_.resize(begin);
    const std::string name =
        index < 0 ? std::string(field) : absl::StrCat(field, "[", index, "]");
    return InvalidField(name, status.message());
  }
  if (options.add_end) words_.push_back(vocabulary_.end_sentence());
  status = CheckLimit("words in the request", words_.size(), limits_.words);
  if (status.ok()) {
    ends_.push_back(words_.size());
  } else {
    words_.resize(begin);
  }
  return status;
}

absl::Status EncodedTexts::AddOrFail(const lm::v1::Text& text,
                                     absl::string_view field, int index,
                                     const Options& options,
                                     TextFailures* failures) {
  if (failures->count(size()) == 0) {
    absl::Status status = Add(text, field, index, options);
    if (!absl::IsInvalidArgument(status)) return status;
    failures->emplace(size(), std::move(status));
  }
  ends_.push_back(words_.size());
  return absl::OkStatus();
}

absl::Status EncodedTexts::AddAll(
    const google::protobuf::RepeatedPtrField<lm::v1::Text>& texts,
    absl::string_view field) {
  if (texts.empty()) {
    return InvalidField(field, "expected at least one, found none");
  }
  absl::Status status = CheckLimit(field, texts.size(), limits_.texts);
  for (int i = 0; status.ok() && i < texts.size(); ++i) {
    status = Add(texts[i], field, i, {.may_be_empty = true});
  }
  return status;
}

size_t EncodedTexts::EndOfPart(size_t begin, size_t words) const {
  const auto cost = [this](size_t i) {
    return std::max<size_t>(1, this->words(i).size());
  };
  size_t end = begin + 1;
  size_t taken = cost(begin);
  while (end < size() && taken + cost(end) <= words) taken += cost(end++);
  return end;
}

size_t EncodedTexts::CountUnknown(size_t i) const {
  const absl::Span<const WordId> words = this->words(i);
  return std::count(words.begin(), words.end(), vocabulary_.unknown());
}

EncodedTexts EncodedTexts::Select(absl::Span<const size_t> indexes) const {
  EncodedTexts selected(vocabulary_, limits_);
  for (size_t i : indexes) {
    const absl::Span<const WordId> words = this->words(i);
    selected.words_.insert(selected.words_.end(), words.begin(), words.end());
    selected.ends_.push_back(selected.words_.size());
  }
  return selected;
}

absl::Status EncodedTexts::AddForm(const lm::v1::Text& text) {
  switch (text.form_case()) {
    case lm::v1::Text::kText:
      return AddText(text.text());
    case lm::v1::Text::kWords:
      return AddWords(text.words());
    case lm::v1::Text::kIds:
      return AddIds(text.ids());
    case lm::v1::Text::FORM_NOT_SET:
      return absl::OkStatus();
  }
  return absl::OkStatus();
}

absl::Status EncodedTexts::CheckLength(size_t words) const {
  if (words <= limits_.words_per_text) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("expected at most ", limits_.words_per_text,
                   " words in a text, found ", words));
}

absl::Status EncodedTexts::AddText(absl::string_view text) {
  size_t count = 0;
  WordFinder finder(vocabulary_, &words_);
  ForEachWord(text, [&](absl::string_view word) {
    if (count++ < limits_.words_per_text) finder.Add(word);
  });
  finder.Finish();
  return CheckLength(count);
}

absl::Status EncodedTexts::AddWords(const lm::v1::WordList& words) {
  absl::Status status = CheckLength(words.words_size());
  if (!status.ok()) return status;
  for (int i = 0; i < words.words_size(); ++i) {
    const std::string& word = words.words(i);
    if (!IsWord(word)) {
      return absl::InvalidArgumentError(
          absl::StrCat("word ", i, ": expected a word without white space"));
    }
    words_.push_back(vocabulary_.Find(word));
  }
  return absl::OkStatus();
}

absl::Status EncodedTexts::AddIds(const lm::v1::WordIdList& ids) {
  absl::Status status = CheckLength(ids.ids_size());
  if (!status.ok()) return status;
  for (int i = 0; i < ids.ids_size(); ++i) {
    if (ids.ids(i) >= vocabulary_.size()) {
      return absl::InvalidArgumentError(
          absl::StrCat("id ", i, ": expected a word id below ",
                       vocabulary_.size(), ", found ", ids.ids(i)));
    }
    words_.push_back(ids.ids(i));
  }
  return absl::OkStatus();
}

absl::Status EncodedTexts::CheckNoMarker(absl::Span<const WordId> words) const {
  for (size_t i = 0; i < words.size(); ++i) {
    if (words[i] == vocabulary_.begin_sentence() ||
        words[i] == vocabulary_.end_sentence()) {
      return absl::InvalidArgumentError(
          absl::StrCat("word ", i, ": expected no sentence marker, found ",
                       vocabulary_.word(words[i])));
    }
  }
  return absl::OkStatus();
}

}  // namespace lmserve
