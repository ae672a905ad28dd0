// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_TAGGER_MODEL_H_
#define LMSERVE_MODELS_TAGGER_MODEL_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "models/vocabulary.h"

namespace lmserve {

class SentenceEncoder;

// A TaggerModel labels each word of a sentence, for example with its part of
// speech. The label of a word may depend on the whole sentence. Words are given
// as they are written, because a tagger may read the characters of those that
// its vocabulary does not have.
//
// All probabilities are natural logarithms. The answer to a sentence does not
// depend on the other sentences in the batch.
//
// Immutable after construction: any number of threads may use one instance.
class TaggerModel {
 public:
  virtual ~TaggerModel() = default;

  // The words that the model knows.
  virtual const Vocabulary& vocabulary() const = 0;

  // The names of the labels, in the order of their numbers.
  virtual absl::Span<const std::string> labels() const = 0;

  // Returns the vectors that the model has of sentences, or null.
  virtual const SentenceEncoder* sentence_encoder() const { return nullptr; }

  // A sentence to tag, as views of the caller's memory, without <s> and </s>.
  struct Sentence {
    absl::Span<const absl::string_view> words;  // valid UTF-8, none is empty
    // Out: the number of the label of each word. Together they are the most
    // probable sequence of labels that the model permits.
    absl::Span<size_t> labels;
    // Out: ln P(label | sentence) of each word and label, a row-major matrix of
    // shape (words, labels); or empty. For each word, the probabilities sum to
    // 1. The best sequence need not have the best label of each word.
    absl::Span<float> log_probs = {};
  };

  // Tags a batch of sentences. REQUIRES: labels is as long as words; log_probs
  // is empty or has words.size() * labels().size() elements.
  virtual void Tag(absl::Span<const Sentence> batch) const = 0;
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_TAGGER_MODEL_H_
