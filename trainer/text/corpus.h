#ifndef LMSERVE_TRAINER_TEXT_CORPUS_H_
#define LMSERVE_TRAINER_TEXT_CORPUS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "models/vocabulary.h"
#include "trainer/text/line_reader.h"
#include "trainer/text/progress.h"
#include "trainer/text/sentences.h"

namespace lmserve {

struct CorpusOptions {
  // Words to know, a line each; the rest becomes <unk>. They get their ids in
  // this order, so that models of several texts can share a vocabulary, as that
  // of a version in a store. Empty: all words.
  std::string vocabulary_file;
  // Words seen less often become <unk>; those of a vocabulary_file stay.
  uint64_t min_count = 1;
  TextForm form = TextForm::kSentences;
};

// A text as word ids, sentence after sentence: <s> w1 ... wm </s> <s> ...
struct Corpus {
  // <unk> = 0, <s> = 1, </s> = 2, then the words, most frequent first or as in
  // the vocabulary_file.
  Vocabulary vocabulary;
  std::vector<WordId> words;
  uint64_t sentences = 0;
  uint64_t unknown = 0;      // words that became <unk>, those of the text too
  uint64_t blank_lines = 0;  // left out

  // Words to predict: all but <s>.
  uint64_t tokens() const { return words.size() - sentences; }
};

// Reads a text, a sentence a line; <unk> in the text is the unknown word.
// Fails, naming the line, on <s> or </s> in the text and on invalid UTF-8, and
// where there is no sentence at all.
absl::StatusOr<Corpus> ReadCorpus(LineReader& lines,
                                  const CorpusOptions& options,
                                  Progress& progress);

// The same of a file, telling a person how it goes.
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
