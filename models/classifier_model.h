// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_CLASSIFIER_MODEL_H_
#define LMSERVE_MODELS_CLASSIFIER_MODEL_H_

#include <cstddef>
#include <string>

#include "absl/types/span.h"
#include "models/vocabulary.h"

namespace lmserve {

class SentenceEncoder;

// A ClassifierModel labels a sentence, for example with its sentiment.
//
// All probabilities are natural logarithms. The answer to a sentence does not
// depend on the other sentences in the batch.
//
// Immutable after construction: any number of threads may use one instance.
class ClassifierModel {
 public:
  virtual ~ClassifierModel() = default;

  virtual const Vocabulary& vocabulary() const = 0;

  // The names of the labels, in the order of their numbers.
  virtual absl::Span<const std::string> labels() const = 0;

  // Returns the vectors that the model has of sentences, or null.
  virtual const SentenceEncoder* sentence_encoder() const { return nullptr; }

  // A sentence to classify, as views of the caller's memory, without <s> and
  // </s>. It may be empty.
  struct Sentence {
    absl::Span<const WordId> words;  // ids < vocabulary size
    // Out: ln P(label | sentence) of each label. Their probabilities sum to 1.
    absl::Span<float> log_probs;
  };

  // Classifies a batch of sentences. REQUIRES: log_probs has labels().size()
  // elements.
  virtual void Classify(absl::Span<const Sentence> batch) const = 0;
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_CLASSIFIER_MODEL_H_
