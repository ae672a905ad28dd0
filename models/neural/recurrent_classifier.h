// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_NEURAL_RECURRENT_CLASSIFIER_H_
#define LMSERVE_MODELS_NEURAL_RECURRENT_CLASSIFIER_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "models/classifier_model.h"
#include "models/neural/network_weights.h"
#include "models/neural/recurrent_sentence_encoder.h"

namespace lmserve {

// The metadata of weights.safetensors of a classifier: how it pools. See
// model_store/FORMAT.md.
inline constexpr absl::string_view kPoolingKey = "pooling";

// A deep recurrent network that labels sentences. Layers of two directions, or
// of one, read the words w_1 ... w_T without markers, and the states of the
// last depth are pooled (see pooling.h) to the vector of the sentence:
//
//   v = pool over t of [forward_t; backward_t]
//   P(label) = softmax(W v + b)_label
//
// Max pooling is that of Collobert et al. 2011 and Conneau et al. 2017.
//
// Sentences of the same length are processed together, step by step.
//
// Owns its vocabulary and packed weights. Immutable: any number of threads may
// use one instance.
class RecurrentClassifier final : public ClassifierModel {
 public:
  // `bytes` is the contents of weights.safetensors; the model copies what it
  // needs. Returns INVALID_ARGUMENT, naming the tensor, if it is not a
  // classifier over the vocabulary and the labels. REQUIRES: the labels are
  // those that ParseLabels() returned.
  static absl::StatusOr<std::unique_ptr<RecurrentClassifier>> Create(
      Vocabulary vocabulary, std::vector<std::string> labels,
      absl::string_view bytes);

  const Vocabulary& vocabulary() const override { return vocabulary_; }
  absl::Span<const std::string> labels() const override { return labels_; }
  const SentenceEncoder* sentence_encoder() const override {
    return &sentence_encoder_;
  }
  void Classify(absl::Span<const Sentence> batch) const override;

 private:
  struct Parts {
    OwnedMatrix embedding;
    bool bidirectional = true;
    std::vector<RecurrentLayer> layers;
    Pooling pooling = Pooling::kMax;
    std::unique_ptr<const Linear> output;
  };
  static absl::StatusOr<Parts> ReadParts(const Vocabulary& vocabulary,
                                         size_t labels,
                                         absl::string_view bytes);

  RecurrentClassifier(Vocabulary vocabulary, std::vector<std::string> labels,
                      Parts parts);

  const Vocabulary vocabulary_;
  const std::vector<std::string> labels_;
  const Parts parts_;
  const RecurrentSentenceEncoder sentence_encoder_;
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NEURAL_RECURRENT_CLASSIFIER_H_
