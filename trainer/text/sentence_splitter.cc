// SPDX-License-Identifier: Apache-2.0
#include "trainer/text/sentence_splitter.h"

#include "absl/strings/str_cat.h"
#include "models/text.h"
#include "models/utf8.h"
#include "models/vocabulary.h"

namespace lmserve {

absl::Status SentenceSplitter::Split(absl::string_view line,
                                     std::vector<absl::string_view>* words) {
  words->clear();
  ForEachWord(line, [&](absl::string_view word) { words->push_back(word); });
  const bool valid = FindInvalidUtf8(line) == absl::string_view::npos;
  size_t begin = 0, end = words->size();
  if (begin < end && (*words)[begin] == kBeginSentence) ++begin;
  if (begin < end && (*words)[end - 1] == kEndSentence) --end;
  size_t kept = 0;
  for (size_t i = begin; i < end; ++i) {
    absl::string_view word = (*words)[i];
    if (word == kUnknownUppercase && !keeps_uppercase_) word = kUnknownWord;
    absl::StatusOr<bool> left_out = false;
    if (word == kUnknownWord) {
      if (rules_.unknown == UnwantedWord::kReplace) {
        ++unwanted_.unknown;
      } else {
        left_out = HandleUnwanted(
            rules_.unknown,
            "expected words, found <unk> (accepted with --unk keep or skip)",
            &word);
      }
    } else if (word == kBeginSentence || word == kEndSentence) {
      left_out = HandleUnwanted(
          rules_.markers,
          absl::StrCat("expected words, found the sentence marker ", word,
                       " inside the line (accepted with --markers skip or "
                       "replace)"),
          &word);
    } else if (!valid && FindInvalidUtf8(word) != absl::string_view::npos) {
      left_out = HandleUnwanted(
          rules_.invalid_utf8,
          "invalid UTF-8 (accepted with --invalid-utf8 skip or replace)",
          &word);
    }
    if (!left_out.ok()) return left_out.status();
    if (!*left_out) (*words)[kept++] = word;
  }
  words->resize(kept);
  return absl::OkStatus();
}

absl::StatusOr<bool> SentenceSplitter::HandleUnwanted(UnwantedWord rule,
                                                      absl::string_view problem,
                                                      absl::string_view* word) {
  switch (rule) {
    case UnwantedWord::kRefuse:
      return LineError(lines_, problem);
    case UnwantedWord::kSkip:
      ++unwanted_.skipped;
      return true;
    case UnwantedWord::kReplace:
      ++unwanted_.replaced;
      *word = kUnknownWord;
  }
  return false;
}

void UnwantedCounts::Add(const UnwantedCounts& other) {
  skipped += other.skipped;
  replaced += other.replaced;
  unknown += other.unknown;
}

std::string UnwantedCounts::Summary(absl::string_view name) const {
  std::string summary;
  if (skipped > 0) {
    absl::StrAppend(&summary, name, ": ", skipped,
                    " words that are sentence markers, <unk> or not valid "
                    "UTF-8 left out");
  }
  if (replaced > 0) {
    absl::StrAppend(&summary, summary.empty() ? "" : "; ", name, ": ", replaced,
                    " words that are sentence markers or not valid UTF-8 "
                    "replaced by <unk>");
  }
  return summary;
}

}  // namespace lmserve
