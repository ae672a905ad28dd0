// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_NEURAL_RECURRENT_SENTENCE_ENCODER_H_
#define LMSERVE_MODELS_NEURAL_RECURRENT_SENTENCE_ENCODER_H_

#include <cstddef>
#include <functional>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "models/neural/recurrent_layer.h"
#include "models/sentence_encoder.h"

namespace lmserve {

// The sentence vectors of a model with recurrent layers: the states of its last
// depth, pooled over the positions of the sentence. The states are those that
// the model itself computes for the sentence, to the bit. Sentences of the same
// length are read side by side.
//
// Does not own the parts of the model, which must outlive it. Immutable: any
// number of threads may use one instance.
class RecurrentSentenceEncoder final : public SentenceEncoder {
 public:
  // Returns the inputs of the first layer for some words, one row each.
  using Inputs = std::function<std::vector<float>(absl::Span<const WordId>)>;

  // What the layers read. They alternate between forward and backward if
  // bidirectional.
  struct Model {
    const Vocabulary& vocabulary;
    absl::Span<const RecurrentLayer> layers;
    bool bidirectional = false;
    bool reads_begin = false;     // whether they read <s> before the words
    bool reads_end = false;       // whether they read </s> after the words
    bool reverses_words = false;  // whether they read the words in reverse
    Inputs inputs;
  };

  explicit RecurrentSentenceEncoder(Model model) : model_(std::move(model)) {}

  const Vocabulary& sentence_vocabulary() const override {
    return model_.vocabulary;
  }
  size_t dimensions() const override;
  void Encode(absl::Span<const Sentence> batch, Pooling pooling) const override;

 private:
  // Returns what the layers read of a sentence.
  std::vector<WordId> Steps(const Sentence& sentence) const;

  const Model model_;
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NEURAL_RECURRENT_SENTENCE_ENCODER_H_
