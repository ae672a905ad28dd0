// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_TEXT_LABELED_TEXT_H_
#define LMSERVE_TRAINER_TEXT_LABELED_TEXT_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "models/vocabulary.h"
#include "text_io/line_reader.h"

namespace lmserve {

// A sentence with its labels: one for each word, or one for the sentence.
struct LabeledSentence {
  std::vector<std::string> words;
  std::vector<std::string> labels;
  // One for each word, if ColumnFormat::auxiliary_column is set.
  std::vector<std::string> auxiliary = {};
};

// Where a text with one word a line has the words and their labels. Blank lines
// separate sentences.
struct ColumnFormat {
  // Whether the text is CoNLL-U: columns are separated by tabs, lines that
  // begin with # are comments, and the lines of multiword tokens (3-4) and of
  // empty nodes (8.1) are not words. Spaces within a word become underscores.
  // Otherwise columns are separated by white space.
  bool is_conllu = true;
  size_t word_column = 2;   // from 1
  size_t label_column = 4;  // from 1; 0: the last column of each line
  // From 1: other labels, which a training may predict, too; 0: none.
  size_t auxiliary_column = 0;
};

// Reads a text with one word a line. Fails with INVALID_ARGUMENT, naming the
// line, if a column is missing, empty or not valid UTF-8, and if the text has
// no word.
absl::StatusOr<std::vector<LabeledSentence>> ReadTaggedText(
    LineReader& lines, const ColumnFormat& format);

// Reads a text with one sentence a line: its label, white space and its words.
// Blank lines are ignored. Fails with INVALID_ARGUMENT, naming the line, if a
// line has a label only, or is not valid UTF-8, and if the text has no
// sentence.
absl::StatusOr<std::vector<LabeledSentence>> ReadClassifiedText(
    LineReader& lines);

// The same as ids.
struct LabeledIds {
  std::vector<WordId> words;
  std::vector<WordId> spellings;  // of the words, by LabelIndex
  std::vector<WordId> labels;
  std::vector<WordId> auxiliary = {};  // by LabelIndex::auxiliary; may be empty
};

// The words and the labels of a training text with their ids.
struct LabelIndex {
  Vocabulary vocabulary;  // as Corpus::vocabulary
  std::vector<uint64_t>
      word_counts;                  // by word id; of <unk>: of all it replaces
  std::vector<std::string> labels;  // in alphabetical order
  std::vector<std::string> auxiliary =
      {};  // in alphabetical order; may be empty
};

// Makes the index. Words that occur less often than `min_count` become <unk>;
// with a vocabulary_file, which CorpusOptions explains, so do all words that it
// does not have. Fails with INVALID_ARGUMENT if there are too many labels.
absl::StatusOr<LabelIndex> IndexLabeledText(
    absl::Span<const LabeledSentence> sentences,
    const std::string& vocabulary_file, uint64_t min_count);

// Converts a text to ids. Sentences with a label that the index does not have
// are left out, with a warning that has the name of the text. A sentence with
// an auxiliary label that the index does not have gets no auxiliary ones.
// Appends new spellings to `spellings`, which has the distinct words of all
// texts so far.
std::vector<LabeledIds> ToIds(absl::Span<const LabeledSentence> sentences,
                              const LabelIndex& index, const std::string& name,
                              std::vector<std::string>* spellings);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_TEXT_LABELED_TEXT_H_
