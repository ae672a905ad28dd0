// SPDX-License-Identifier: Apache-2.0
#include "trainer/text/labeled_text.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "models/labels.h"
#include "models/printable_text.h"
#include "models/text.h"
#include "models/utf8.h"
#include "trainer/text/marker_ids.h"
#include "trainer/text/status_line.h"
#include "trainer/text/vocabulary_builder.h"

namespace lmserve {
namespace {

// The longest line of a labeled text, in bytes. It limits the memory that a
// file of another kind takes.
constexpr size_t kMaxLabeledLineBytes = 16 << 20;

// Returns whether the identifier of a line of CoNLL-U is that of a word: not
// 3-4 or 8.1.
bool IsWordId(absl::string_view id) {
  return id.find_first_of("-.") == absl::string_view::npos;
}

// Returns a column, counted from 1, where 0 is the last one.
absl::StatusOr<absl::string_view> FindColumn(
    const LineReader& lines, absl::Span<const absl::string_view> columns,
    size_t column, absl::string_view what) {
  if (column > columns.size()) {
    return LineError(lines,
                     absl::StrCat("expected the ", what, " in column ", column,
                                  ", found ", columns.size(), " columns"));
  }
  const absl::string_view found =
      column == 0 ? columns.back() : columns[column - 1];
  if (!found.empty()) return found;
  return LineError(lines, absl::StrCat("expected the ", what, " in column ",
                                       column, ", found an empty column"));
}

absl::Status CheckLineIsText(const LineReader& lines, absl::string_view line) {
  if (FindInvalidUtf8(line) == absl::string_view::npos) {
    return absl::OkStatus();
  }
  return LineError(lines, "expected valid UTF-8");
}

absl::Status NoLabeledSentence(const LineReader& lines) {
  return absl::InvalidArgumentError(absl::StrCat(
      lines.name(), ": expected at least one sentence, found none"));
}

absl::Status CheckLabel(const LineReader& lines, absl::string_view label) {
  if (IsWord(label) && label.size() <= kMaxLabelSize) return absl::OkStatus();
  return LineError(lines,
                   absl::StrCat("expected a label of at most ", kMaxLabelSize,
                                " bytes without white space, found '",
                                Printable(label), "'"));
}

// The ids of labels.
class LabelIds {
 public:
  explicit LabelIds(absl::Span<const std::string> labels) {
    for (const std::string& label : labels) ids_.emplace(label, ids_.size());
  }

  // Returns the ids of labels, or {} if one of them has none.
  std::vector<WordId> Find(absl::Span<const std::string> labels) const {
    std::vector<WordId> ids;
    for (const std::string& label : labels) {
      const auto found = ids_.find(label);
      if (found == ids_.end()) return {};
      ids.push_back(found->second);
    }
    return ids;
  }

 private:
  absl::flat_hash_map<std::string, WordId> ids_;
};

// Adds the word of a line to a sentence, if the line has one.
absl::Status AddWord(const LineReader& lines, absl::string_view line,
                     const ColumnFormat& format, LabeledSentence* sentence) {
  std::vector<absl::string_view> columns;
  if (format.is_conllu) {
    if (line.front() == '#') return absl::OkStatus();
    columns = absl::StrSplit(line, '\t');
    if (!IsWordId(columns[0])) return absl::OkStatus();
  } else {
    columns = SplitWords(line);
  }
  const absl::StatusOr<absl::string_view> word =
      FindColumn(lines, columns, format.word_column, "word");
  if (!word.ok()) return word.status();
  const absl::StatusOr<absl::string_view> label =
      FindColumn(lines, columns, format.label_column, "label");
  if (!label.ok()) return label.status();
  absl::Status status = CheckLabel(lines, *label);
  if (!status.ok()) return status;
  if (format.auxiliary_column > 0) {
    const absl::StatusOr<absl::string_view> auxiliary =
        FindColumn(lines, columns, format.auxiliary_column, "auxiliary label");
    if (!auxiliary.ok()) return auxiliary.status();
    status = CheckLabel(lines, *auxiliary);
    if (!status.ok()) return status;
    sentence->auxiliary.emplace_back(*auxiliary);
  }
  sentence->words.push_back(absl::StrReplaceAll(*word, {{" ", "_"}}));
  sentence->labels.emplace_back(*label);
  if (IsWord(sentence->words.back())) return absl::OkStatus();
  return LineError(
      lines, absl::StrCat("expected a word, found '", Printable(*word), "'"));
}

}  // namespace

absl::StatusOr<std::vector<LabeledSentence>> ReadTaggedText(
    LineReader& lines, const ColumnFormat& format) {
  lines.LimitLines(kMaxLabeledLineBytes);
  std::vector<LabeledSentence> sentences;
  LabeledSentence sentence;
  const auto end_sentence = [&] {
    if (sentence.words.empty()) return;
    sentences.push_back(std::exchange(sentence, LabeledSentence()));
  };
  absl::string_view line;
  while (lines.Next(&line)) {
    line = absl::StripSuffix(line, "\r");
    if (std::all_of(line.begin(), line.end(), IsSpace)) {
      end_sentence();
      continue;
    }
    absl::Status status = CheckLineIsText(lines, line);
    if (status.ok()) status = AddWord(lines, line, format, &sentence);
    if (!status.ok()) return status;
  }
  if (!lines.status().ok()) return lines.status();
  end_sentence();
  if (sentences.empty()) return NoLabeledSentence(lines);
  return sentences;
}

absl::StatusOr<std::vector<LabeledSentence>> ReadClassifiedText(
    LineReader& lines) {
  lines.LimitLines(kMaxLabeledLineBytes);
  std::vector<LabeledSentence> sentences;
  absl::string_view line;
  while (lines.Next(&line)) {
    absl::Status status = CheckLineIsText(lines, line);
    if (!status.ok()) return status;
    const std::vector<absl::string_view> words = SplitWords(line);
    if (words.empty()) continue;
    if (words.size() == 1) {
      return LineError(lines, "expected a label and a text, found one word");
    }
    status = CheckLabel(lines, words[0]);
    if (!status.ok()) return status;
    LabeledSentence& sentence = sentences.emplace_back();
    sentence.labels.emplace_back(words[0]);
    for (size_t i = 1; i < words.size(); ++i) {
      sentence.words.emplace_back(words[i]);
    }
  }
  if (!lines.status().ok()) return lines.status();
  if (sentences.empty()) return NoLabeledSentence(lines);
  return sentences;
}

absl::StatusOr<LabelIndex> IndexLabeledText(
    absl::Span<const LabeledSentence> sentences,
    const std::string& vocabulary_file, uint64_t min_count) {
  VocabularyBuilder builder;
  if (!vocabulary_file.empty()) {
    absl::Status status = builder.Fix(vocabulary_file);
    if (!status.ok()) return status;
  }
  std::set<std::string> labels, auxiliary;
  std::vector<WordId> words;  // preliminary ids
  for (const LabeledSentence& sentence : sentences) {
    labels.insert(sentence.labels.begin(), sentence.labels.end());
    auxiliary.insert(sentence.auxiliary.begin(), sentence.auxiliary.end());
    for (const std::string& word : sentence.words) {
      words.push_back(builder.Add(word));
      builder.Count(words.back());
    }
  }
  absl::StatusOr<std::vector<std::string>> checked = ParseLabels(
      FormatLabels(std::vector<std::string>(labels.begin(), labels.end())));
  if (!checked.ok()) return checked.status();
  absl::StatusOr<VocabularyBuilder::Result> built = builder.Build(min_count);
  if (!built.ok()) return built.status();
  LabelIndex index = {std::move(built->vocabulary),
                      {},
                      *std::move(checked),
                      {auxiliary.begin(), auxiliary.end()}};
  index.word_counts.resize(index.vocabulary.size());
  for (WordId word : words) ++index.word_counts[built->ids[word]];
  return index;
}

std::vector<LabeledIds> ToIds(absl::Span<const LabeledSentence> sentences,
                              const LabelIndex& index, const std::string& name,
                              std::vector<std::string>* spellings) {
  const LabelIds label_ids(index.labels), auxiliary_ids(index.auxiliary);
  absl::flat_hash_map<std::string, WordId> spelling_ids;
  for (const std::string& word : *spellings) {
    spelling_ids.emplace(word, spelling_ids.size());
  }
  std::vector<LabeledIds> all;
  size_t left_out = 0;
  for (const LabeledSentence& sentence : sentences) {
    LabeledIds ids;
    ids.labels = label_ids.Find(sentence.labels);
    if (ids.labels.empty()) {
      ++left_out;
      continue;
    }
    ids.auxiliary = auxiliary_ids.Find(sentence.auxiliary);
    for (const std::string& word : sentence.words) {
      ids.words.push_back(index.vocabulary.Find(word));
      const auto [found, is_new] =
          spelling_ids.emplace(word, spelling_ids.size());
      if (is_new) spellings->push_back(word);
      ids.spellings.push_back(found->second);
    }
    all.push_back(std::move(ids));
  }
  if (left_out > 0) {
    PrintMessage(absl::StrCat("warning: ", name, ": ", left_out,
                              " sentences left out, because they have labels "
                              "that the training text does not have"));
  }
  return all;
}

}  // namespace lmserve
