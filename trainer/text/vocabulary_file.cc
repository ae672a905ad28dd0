// SPDX-License-Identifier: Apache-2.0
#include "trainer/text/vocabulary_file.h"

#include <cstdint>
#include <memory>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "models/text.h"
#include "models/utf8.h"
#include "models/vocabulary.h"
#include "text_io/line_reader.h"

namespace lmserve {

absl::StatusOr<std::vector<std::string>> ReadVocabularyFile(
    const std::string& file) {
  absl::StatusOr<std::unique_ptr<LineReader>> lines = LineReader::Open(file);
  if (!lines.ok()) return lines.status();
  std::vector<std::string> words;
  absl::flat_hash_set<std::string> known = {
      std::string(kUnknownWord), std::string(kUnknownUppercase),
      std::string(kBeginSentence), std::string(kEndSentence)};
  absl::string_view line;
  bool is_table = true;  // every line has a word and a number
  while ((*lines)->Next(&line)) {
    const std::vector<absl::string_view> in_line = SplitWords(line);
    uint64_t number;
    is_table = is_table && in_line.size() == 2 &&
               absl::SimpleAtoi(in_line[1], &number);
    for (absl::string_view word : in_line) {
      if (FindInvalidUtf8(word) != absl::string_view::npos) {
        return LineError(**lines, "invalid UTF-8");
      }
      if (known.insert(std::string(word)).second) words.emplace_back(word);
    }
  }
  if (!(*lines)->status().ok()) return (*lines)->status();
  if (!is_table || words.size() <= 2) return words;
  return absl::InvalidArgumentError(absl::StrCat(
      file,
      ": expected words, found a word and a number in each line; the "
      "words alone are the output of: cut -d' ' -f1"));
}

}  // namespace lmserve
