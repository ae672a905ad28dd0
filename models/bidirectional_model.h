// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_BIDIRECTIONAL_MODEL_H_
#define LMSERVE_MODELS_BIDIRECTIONAL_MODEL_H_

#include <cstddef>

#include "absl/types/span.h"
#include "models/inspectable_model.h"
#include "models/language_model.h"
#include "models/sentence_encoder.h"
#include "models/vocabulary.h"

namespace lmserve {

// A BidirectionalModel returns the probability of a word of a sentence given
// all other words of the sentence, both before and after it. It fills gaps. It
// has no state to continue from and cannot generate text.
//
// Callers pass sentences without <s> and </s>; the model adds both. At the
// position of a gap the model reads <unk>, so the word that stood there does
// not influence its own probability. All probabilities are natural logarithms.
// <s> and </s> never fill a gap: their log-probability is -infinity. The answer
// to a query does not depend on the other queries in the batch.
//
// Immutable after construction: any number of threads may use one instance.
class BidirectionalModel {
 public:
  virtual ~BidirectionalModel() = default;

  virtual const Vocabulary& vocabulary() const = 0;

  // Returns the model itself if its gates and states can be looked at while it
  // reads a text, otherwise null. The text is read as it is, without a gap. One
  // with <unk> at a word is what the model reads to fill a gap there.
  virtual const InspectableModel* inspectable() const { return nullptr; }

  // Returns the vectors that the model has of sentences, or null.
  virtual const SentenceEncoder* sentence_encoder() const { return nullptr; }

  // A sentence to score, as views of the caller's memory. The sum of the
  // log-probabilities is the pseudo-log-likelihood of the sentence. Scoring
  // reads the sentence once for each of its words.
  struct Sentence {
    absl::Span<const WordId> words;  // ids < vocabulary size
    absl::Span<float> log_probs;     // out: ln P(words[t] | all the others)
  };

  // Scores a batch of whole sentences. REQUIRES: log_probs is as long as words.
  virtual void Score(absl::Span<const Sentence> batch) const = 0;

  // A sentence with one word removed. Either side may be empty.
  struct Gap {
    absl::Span<const WordId> before;
    absl::Span<const WordId> after;
  };

  // Writes ln P(words[i] | rest of the sentence of gap g) for every g and i: a
  // row-major matrix of shape (gaps.size(), words.size()).
  virtual void Rate(absl::Span<const Gap> gaps, absl::Span<const WordId> words,
                    float* log_probs) const = 0;

  // Writes the k best words for each gap in the order of Likelier(), as a
  // row-major matrix of shape (gaps.size(), k). V is the vocabulary size.
  // REQUIRES: 1 <= k <= V; best.size() == gaps.size() * k.
  virtual void Fill(absl::Span<const Gap> gaps, size_t k,
                    absl::Span<ScoredWord> best) const = 0;
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_BIDIRECTIONAL_MODEL_H_
