// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_TEXT_PARALLEL_CORPUS_H_
#define LMSERVE_TRAINER_TEXT_PARALLEL_CORPUS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "models/vocabulary.h"
#include "trainer/text/corpus.h"
#include "trainer/text/sentence_pair.h"

namespace lmserve {

// A text and its translation as pairs of sentences.
struct ParallelCorpus {
  Vocabulary source_vocabulary, vocabulary;
  std::vector<SentencePair> pairs;
  // Words that a model predicts: those of the translations, plus one </s> each.
  uint64_t tokens = 0;
};

// Reads a source text and its translation `file`; line i of the one translates
// line i of the other. Pairs with a blank line are ignored; prints a warning
// with their number if the other line is not blank. Fails like ReadCorpus(),
// and if the numbers of lines differ or no pair is left.
absl::StatusOr<ParallelCorpus> ReadParallelCorpus(
    const std::string& source_file, const CorpusOptions& source_options,
    const std::string& file, const CorpusOptions& options);

// Reads two texts like ReadParallelCorpus(), with given vocabularies. The form
// of the rules is ignored.
absl::StatusOr<std::vector<SentencePair>> ReadSentencePairs(
    const std::string& source_file, const Vocabulary& source_vocabulary,
    const std::string& file, const Vocabulary& vocabulary,
    TextRules rules = TextRules());

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_TEXT_PARALLEL_CORPUS_H_
