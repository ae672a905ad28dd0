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

// A text and its translation, sentence by sentence.
struct ParallelCorpus {
  Vocabulary source_vocabulary, vocabulary;
  std::vector<SentencePair> pairs;
  uint64_t tokens = 0;  // of the translations, a </s> each
};

// Reads two texts of as many lines, line i of the one translating line i of the
// other; pairs with a blank line are left out. Fails as ReadCorpus(), and where
// one has more lines than the other, or no pair is left.
absl::StatusOr<ParallelCorpus> ReadParallelCorpus(
    const std::string& source_file, const CorpusOptions& source_options,
    const std::string& file, const CorpusOptions& options);

// The same, in the words of vocabularies that there are.
absl::StatusOr<std::vector<SentencePair>> ReadSentencePairs(
    const std::string& source_file, const Vocabulary& source_vocabulary,
    const std::string& file, const Vocabulary& vocabulary);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_TEXT_PARALLEL_CORPUS_H_
