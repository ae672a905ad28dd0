// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_NEURAL_RECURRENT_BIDIRECTIONAL_MODEL_H_
#define LMSERVE_MODELS_NEURAL_RECURRENT_BIDIRECTIONAL_MODEL_H_

#include <memory>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "models/bidirectional_model.h"
#include "models/neural/network_weights.h"
#include "models/neural/recurrent_sentence_encoder.h"

namespace lmserve {

// A deep bidirectional recurrent network that fills gaps in sentences (Schuster
// and Paliwal 1997; Graves et al. 2013). At each depth, a forward and a
// backward layer read the whole sentence x_1 ... x_T, which is <s>, the words
// with <unk> at the gap, and </s>:
//
//   forward_t = cell(x_t, forward_{t-1})
//   backward_t = cell(x_t, backward_{t+1})
//
// The first depth reads embeddings; each next depth reads [forward_t;
// backward_t]. With t the position of the gap, the features of the last depth
// give
//
//   P(w | rest of the sentence) = softmax(W [forward_t; backward_t] + b)_w
//
// Sentences of the same length are processed together, step by step.
//
// Owns its vocabulary and packed weights. Immutable: any number of threads may
// use one instance.
class RecurrentBidirectionalModel final : public BidirectionalModel,
                                          public InspectableModel {
 public:
  // `bytes` is the contents of weights.safetensors; the model copies what it
  // needs. Returns INVALID_ARGUMENT, naming the tensor, if it is not a
  // bidirectional network over the vocabulary.
  static absl::StatusOr<std::unique_ptr<RecurrentBidirectionalModel>> Create(
      Vocabulary vocabulary, absl::string_view bytes);

  const Vocabulary& vocabulary() const override { return vocabulary_; }
  void Score(absl::Span<const Sentence> batch) const override;
  void Rate(absl::Span<const Gap> gaps, absl::Span<const WordId> words,
            float* log_probs) const override;
  void Fill(absl::Span<const Gap> gaps, size_t k,
            absl::Span<ScoredWord> best) const override;

  const SentenceEncoder* sentence_encoder() const override {
    return &sentence_encoder_;
  }
  const InspectableModel* inspectable() const override { return this; }
  std::vector<Layer> layers() const override;
  std::unique_ptr<Reading> Read(const Text& text,
                                size_t part_words) const override;

 private:
  class Pass;
  class TextReading;

  // Receives the indices of gaps in sentences of the same length, and the
  // features (gaps.size(), features) of these gaps for the output layer.
  using Visit = absl::FunctionRef<void(absl::Span<const size_t> gaps,
                                       const float* features)>;

  RecurrentBidirectionalModel(Vocabulary vocabulary, RecurrentParts parts);

  // Computes the features of all gaps, and calls `visit` for each group of gaps
  // that are processed together.
  void Encode(absl::Span<const Gap> gaps, Visit visit) const;

  const Vocabulary vocabulary_;
  const RecurrentParts parts_;
  const RecurrentSentenceEncoder sentence_encoder_;
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NEURAL_RECURRENT_BIDIRECTIONAL_MODEL_H_
