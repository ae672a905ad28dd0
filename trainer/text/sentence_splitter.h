// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_TEXT_SENTENCE_SPLITTER_H_
#define LMSERVE_TRAINER_TEXT_SENTENCE_SPLITTER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "text_io/line_reader.h"

namespace lmserve {

// How the lines of a text are related.
enum class TextForm {
  // Each line is an independent sentence, which a model reads after <s>. Blank
  // lines are ignored.
  kSentences,
  // Each line continues the line before. A blank line is an empty sentence.
  kStream,
};

// What happens to a word of a text that is not a word of the language.
enum class UnwantedWord {
  kRefuse,   // the text is rejected; the error names the line
  kSkip,     // it is left out, as if it were white space
  kReplace,  // it is, or is replaced by, the unknown word <unk>
};

// How a text is read. These rules are the same for all texts:
// - Words are separated by white space and NUL bytes.
// - A <s> at the start of a line and a </s> at its end, as SRILM and Sphinx
//   write them, are those of the sentence and are passed over.
// - <unk> and <UNK> are the unknown word, unless a model that exists already
//   has the word <UNK> beside <unk>.
struct TextRules {
  TextForm form = TextForm::kSentences;
  UnwantedWord markers = UnwantedWord::kRefuse;  // <s>, </s> inside a line
  UnwantedWord invalid_utf8 = UnwantedWord::kRefuse;
  UnwantedWord unknown = UnwantedWord::kReplace;  // <unk> and <UNK>

  TextRules() = default;
  // NOLINTNEXTLINE(google-explicit-constructor)
  TextRules(TextForm text_form) : form(text_form) {}
};

// How many words of a text were not words of the language.
struct UnwantedCounts {
  uint64_t skipped = 0;
  uint64_t replaced = 0;
  uint64_t unknown = 0;  // <unk> or <UNK> in the text itself, and kept

  void Add(const UnwantedCounts& other);

  // Returns what was left out or replaced in the text of this name, as a
  // sentence for the user; "" if nothing was.
  std::string Summary(absl::string_view name) const;
};

// Splits the lines of a text into words by the rules above. Not thread-safe.
class SentenceSplitter {
 public:
  // The lines must outlive the splitter. They are only used for messages.
  // `keeps_uppercase`: whether <UNK> is a word of its own.
  SentenceSplitter(const LineReader& lines, const TextRules& rules,
                   bool keeps_uppercase = false)
      : lines_(lines), rules_(rules), keeps_uppercase_(keeps_uppercase) {}

  // Sets *words to the words of the line that was read last; they are views of
  // the line. Fails with INVALID_ARGUMENT, naming the line, for words that the
  // rules refuse.
  absl::Status Split(absl::string_view line,
                     std::vector<absl::string_view>* words);

  // The words so far that were left out, replaced, or <unk>.
  const UnwantedCounts& unwanted() const { return unwanted_; }

  std::string Summary() const { return unwanted_.Summary(lines_.name()); }

 private:
  // Handles words[i]. Returns whether it is left out.
  absl::StatusOr<bool> HandleUnwanted(UnwantedWord rule,
                                      absl::string_view problem,
                                      absl::string_view* word);

  const LineReader& lines_;
  const TextRules rules_;
  const bool keeps_uppercase_;
  UnwantedCounts unwanted_;
};

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_TEXT_SENTENCE_SPLITTER_H_
