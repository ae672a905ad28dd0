// SPDX-License-Identifier: Apache-2.0
#include "trainer/counting/word_list.h"

#include <memory>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "models/text.h"
#include "text_io/line_reader.h"
#include "trainer/counting/byte_file.h"

namespace lmserve {
namespace {

// The longest line: two numbers, two tabs and a word.
constexpr size_t kMaxLineBytes = 2 * 20 + 2 + kMaxWordSize;

constexpr absl::string_view kMarkers[] = {kUnknownWord, kBeginSentence,
                                          kEndSentence};

// Returns what is wrong with a word, which is not in the right place if it is a
// marker, or "".
std::string WordProblem(absl::string_view word, uint64_t id) {
  if (id < kMarkerIds) {
    return word == kMarkers[id] ? "" : absl::StrCat("expected ", kMarkers[id]);
  }
  for (absl::string_view marker : kMarkers) {
    if (word == marker) {
      return absl::StrCat("expected ", marker, " only at the start");
    }
  }
  return "";
}

}  // namespace

absl::Status WriteWordList(const std::string& path, const WordTable& table,
                           absl::Span<const WordId> order) {
  absl::StatusOr<std::unique_ptr<ByteWriter>> file = ByteWriter::Create(path);
  if (!file.ok()) return file.status();
  for (WordId id : order) {
    const CountedWord& word = table.word(id);
    (*file)->Write(
        absl::StrCat(word.count, "\t", word.first, "\t", word.text, "\n"));
  }
  return (*file)->Close(/*is_durable=*/true);
}

absl::Status ReadWordList(
    const std::string& path,
    absl::FunctionRef<absl::Status(const CountedWord&)> visit) {
  if (absl::Status status = CheckIsFile(path); !status.ok()) return status;
  absl::StatusOr<std::unique_ptr<LineReader>> lines = LineReader::Open(path);
  if (!lines.ok()) return lines.status();
  (*lines)->LimitLines(kMaxLineBytes);
  absl::string_view line;
  uint64_t number = 0, counted = 0;
  for (; (*lines)->Next(&line); ++number) {
    const std::vector<absl::string_view> fields = absl::StrSplit(line, '\t');
    CountedWord word;
    if (fields.size() != 3 || !IsWord(fields[2]) ||
        !absl::SimpleAtoi(fields[0], &word.count) ||
        !absl::SimpleAtoi(fields[1], &word.first)) {
      return LineError(**lines,
                       "expected the count of a word, its first "
                       "place and the word, separated by tabs");
    }
    word.text = fields[2];
    const std::string problem = WordProblem(word.text, number);
    if (!problem.empty()) return LineError(**lines, problem);
    if (!AddCounted(word.count, &counted)) {
      return LineError(**lines, "expected counts of at most 2^56 in all");
    }
    absl::Status status = visit(word);
    if (!status.ok()) return status;
  }
  if (!(*lines)->status().ok()) return (*lines)->status();
  if (number >= kMarkerIds) return absl::OkStatus();
  return absl::DataLossError(
      absl::StrCat(path, ": expected <unk>, <s> and </s> at the start"));
}

absl::StatusOr<std::vector<uint64_t>> ReadWordCounts(const std::string& path) {
  std::vector<uint64_t> counts;
  absl::Status status = ReadWordList(path, [&](const CountedWord& word) {
    counts.push_back(word.count);
    return absl::OkStatus();
  });
  if (!status.ok()) return status;
  return counts;
}

absl::StatusOr<Vocabulary> ReadWordListVocabulary(const std::string& path) {
  std::string text;
  absl::Status status = ReadWordList(path, [&](const CountedWord& word) {
    absl::StrAppend(&text, word.text, "\n");
    return absl::OkStatus();
  });
  if (!status.ok()) return status;
  return Vocabulary::Parse(std::move(text));
}

}  // namespace lmserve
