// SPDX-License-Identifier: Apache-2.0
#include "models/vocabulary.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "models/printable_text.h"
#include "models/text.h"
#include "models/utf8.h"

namespace lmserve {
namespace {

absl::Status LineError(size_t line, absl::string_view problem) {
  return absl::InvalidArgumentError(
      absl::StrCat("vocabulary line ", line, ": ", problem));
}

std::string Quote(absl::string_view word) {
  return absl::StrCat("'", Printable(word), "'");
}

absl::Status CheckWord(absl::string_view word, size_t line) {
  if (word.empty()) return LineError(line, "the word is empty");
  if (word.size() > kMaxWordSize) {
    return LineError(line,
                     absl::StrCat("expected a word of at most ", kMaxWordSize,
                                  " bytes, found ", word.size()));
  }
  if (!IsWord(word)) return LineError(line, "the word contains white space");
  if (FindInvalidUtf8(word) != absl::string_view::npos) {
    return LineError(line, "the word is not valid UTF-8");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Vocabulary> Vocabulary::Parse(std::string text) {
  Vocabulary vocabulary;
  vocabulary.text_ = std::make_unique<const std::string>(std::move(text));
  const absl::string_view all = *vocabulary.text_;
  const size_t lines = std::count(all.begin(), all.end(), '\n');
  vocabulary.words_.reserve(lines);
  vocabulary.index_ = WordIndex(lines);
  absl::string_view rest = all;
  while (!rest.empty()) {
    const size_t line = vocabulary.words_.size() + 1;
    const size_t end = rest.find('\n');
    if (end == absl::string_view::npos) {
      return LineError(line, "the last line does not end with LF");
    }
    const absl::string_view word = rest.substr(0, end);
    rest.remove_prefix(end + 1);
    if (absl::Status status = CheckWord(word, line); !status.ok()) {
      return status;
    }
    if (line > std::numeric_limits<WordId>::max() / 2) {
      return LineError(line, "too many words for 32-bit ids");
    }
    const WordId id = static_cast<WordId>(vocabulary.words_.size());
    vocabulary.words_.push_back(word);
    if (!vocabulary.index_.Insert(vocabulary.words_, id)) {
      return LineError(line, absl::StrCat("duplicate word ", Quote(word)));
    }
  }
  for (absl::string_view marker :
       {kUnknownWord, kBeginSentence, kEndSentence}) {
    if (!vocabulary.Contains(marker)) {
      return absl::InvalidArgumentError(
          absl::StrCat("vocabulary: the marker ", marker, " is missing"));
    }
  }
  vocabulary.unknown_ = vocabulary.Find(kUnknownWord);
  vocabulary.begin_sentence_ = vocabulary.Find(kBeginSentence);
  vocabulary.end_sentence_ = vocabulary.Find(kEndSentence);
  return vocabulary;
}

absl::StatusOr<Vocabulary> Vocabulary::Create(
    absl::Span<const absl::string_view> words) {
  std::string text;
  for (size_t i = 0; i < words.size(); ++i) {
    if (absl::Status status = CheckWord(words[i], i + 1); !status.ok()) {
      return status;
    }
    absl::StrAppend(&text, words[i], "\n");
  }
  return Parse(std::move(text));
}

WordId Vocabulary::Find(absl::string_view word) const {
  const uint32_t found = index_.Find(words_, word);
  return found == WordIndex::kNotFound ? unknown_ : found;
}

void Vocabulary::FindAll(absl::Span<const absl::string_view> words,
                         WordId* ids) const {
  index_.FindAll(words_, words, ids);
  std::replace(ids, ids + words.size(), WordId{WordIndex::kNotFound}, unknown_);
}

absl::Status CheckSameWords(const Vocabulary& expected,
                            const Vocabulary& found) {
  if (found.text() == expected.text()) return absl::OkStatus();
  for (WordId id = 0; id < std::min(expected.size(), found.size()); ++id) {
    if (found.word(id) == expected.word(id)) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("word ", id, ": expected ", Quote(expected.word(id)),
                     ", found ", Quote(found.word(id))));
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "words: expected ", expected.size(), ", found ", found.size()));
}

}  // namespace lmserve
