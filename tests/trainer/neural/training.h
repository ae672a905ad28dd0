// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TESTS_TRAINER_NEURAL_TRAINING_H_
#define LMSERVE_TESTS_TRAINER_NEURAL_TRAINING_H_

#include <memory>
#include <string>
#include <utility>

#include "text_io/line_reader.h"
#include "trainer/ngram/ngram_counts.h"
#include "trainer/text/corpus.h"

namespace lmserve {

// Helpers that train on a text in memory, with one sentence per line.

inline absl::StatusOr<Corpus> TryReadCorpus(std::string text,
                                            const CorpusOptions& options = {}) {
  Progress quiet("", /*quiet=*/true);
  return ReadCorpus(*LineReader::FromString(std::move(text)), options, quiet);
}

inline Corpus CorpusOf(std::string text) {
  return TryReadCorpus(std::move(text)).value();
}

inline NgramCounts CountsOf(std::string text, int order) {
  return CountNgrams(CorpusOf(std::move(text)), order, /*threads=*/1);
}

}  // namespace lmserve

#endif  // LMSERVE_TESTS_TRAINER_NEURAL_TRAINING_H_
