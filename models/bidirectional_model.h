#ifndef LMSERVE_MODELS_BIDIRECTIONAL_MODEL_H_
#define LMSERVE_MODELS_BIDIRECTIONAL_MODEL_H_

#include <cstddef>

#include "absl/types/span.h"
#include "models/language_model.h"
#include "models/vocabulary.h"

namespace lmserve {

// A BidirectionalModel tells how probable a word of a sentence is, given all
// the others: those before it and those after it. It fills gaps; it has no
// state to go on from, and cannot generate.
//
// Sentences come without <s> and </s>, between which they are read. <unk>
// stands in a gap, as for every word not in the vocabulary: so the word that
// was there has no part in its own probability. All probabilities are natural
// logarithms. <s> and </s> are in no gap: their log-probability is -infinity.
// The answer to one query never depends on what else is in the batch.
//
// Immutable once made: any number of threads may use one at a time.
class BidirectionalModel {
 public:
  virtual ~BidirectionalModel() = default;

  virtual const Vocabulary& vocabulary() const = 0;

  // A sentence to score, as views of the caller's memory. The sum of the
  // log-probabilities is its pseudo-log-likelihood. It costs a reading of the
  // sentence a word.
  struct Sentence {
    absl::Span<const WordId> words;  // ids < vocabulary size
    absl::Span<float> log_probs;     // out: ln P(words[t] | all the others)
  };

  // Scores whole sentences, many at once. REQUIRES: log_probs is as long as
  // words.
  virtual void Score(absl::Span<const Sentence> batch) const = 0;

  // A sentence less one word. Either side may be empty.
  struct Gap {
    absl::Span<const WordId> before;
    absl::Span<const WordId> after;
  };

  // Writes ln P(words[i] | the gap's sentence): (gaps.size(), words.size()),
  // row by row.
  virtual void Rate(absl::Span<const Gap> gaps, absl::Span<const WordId> words,
                    float* log_probs) const = 0;

  // Writes the k best words for each gap in the order of Likelier():
  // (gaps.size(), k), row by row. REQUIRES: 1 <= k <= V; best.size() ==
  // gaps.size() * k.
  virtual void Fill(absl::Span<const Gap> gaps, size_t k,
                    absl::Span<ScoredWord> best) const = 0;
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_BIDIRECTIONAL_MODEL_H_
