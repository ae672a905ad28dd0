// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_TEXT_CORPUS_H_
#define LMSERVE_TRAINER_TEXT_CORPUS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "models/vocabulary.h"
#include "text_io/line_reader.h"
#include "trainer/text/progress.h"
#include "trainer/text/sentences.h"

namespace lmserve {

struct CorpusOptions {
  // A file with the words of the vocabulary, separated by white space; all
  // other words become <unk>; <UNK> in it is <unk>. The words get their ids in
  // the order of the file, so models of different texts can share a vocabulary,
  // for example the vocabulary.txt of a version in a store. Empty: all words of
  // the text.
  std::string vocabulary_file;
  // Words that occur less often become <unk>. Ignored with a vocabulary_file.
  uint64_t min_count = 1;
  TextRules rules;
};

// A text as word ids, with the vocabulary of the ids.
struct Corpus {
  // <unk> = 0, <s> = 1, </s> = 2, then the other words: the most frequent
  // first, or in the order of the vocabulary_file.
  Vocabulary vocabulary;
  // All sentences, one after the other: <s> w1 ... wm </s> <s> ...
  std::vector<WordId> words;
  uint64_t sentences = 0;
  uint64_t unknown = 0;  // number of <unk> in `words`
  // Number of blank lines. They are ignored in TextForm::kSentences.
  uint64_t blank_lines = 0;

  // The number of words that a model predicts: all but <s>.
  uint64_t tokens() const { return words.size() - sentences; }
};

// Reads a text with one sentence per line, by the rules of TextRules; prints
// what they left out, and a warning if the text itself has the word <unk> or no
// word occurs often enough.
// Fails with INVALID_ARGUMENT if they refuse a line (the message has its
// number), and if the text has no sentence.
absl::StatusOr<Corpus> ReadCorpus(LineReader& lines,
                                  const CorpusOptions& options,
                                  Progress& progress);

// Prints a warning if the text itself has the word <unk>, which a model learns
// like any word: `unknown` of `tokens`. `name` is the name of the text.
void WarnAboutUnknown(absl::string_view name, uint64_t unknown,
                      uint64_t tokens);

// Prints a warning that no word is frequent enough, if --min-count is above 1.
void WarnAboutNoWords(absl::string_view name, uint64_t min_count);

// Reads a text from a file and shows the progress on the standard error.
absl::StatusOr<Corpus> ReadCorpusFile(const std::string& file,
                                      const CorpusOptions& options);

// Returns the first sentences of a text, for the self-test of a version. The
// words are in the form of Corpus::words.
std::vector<std::string> FirstSentences(const Vocabulary& vocabulary,
                                        absl::Span<const WordId> words);

// Returns a text of the first words of a vocabulary, for the self-test of a
// model without a training text.
std::string FirstWords(const Vocabulary& vocabulary);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_TEXT_CORPUS_H_
