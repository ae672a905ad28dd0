// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_NEURAL_WINDOW_MODEL_H_
#define LMSERVE_MODELS_NEURAL_WINDOW_MODEL_H_

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "models/language_model.h"
#include "models/neural/output_layer.h"
#include "models/neural/weight_matrix.h"

namespace lmserve {

// The feed-forward network over a window of words of Bengio et al. 2003,
// equation 1:
//
//   P(w | last n words) = softmax(W2 tanh(W1 x + b1) + W3 x + b3)_w
//
// where x is the concatenation of the embeddings of the last n words, oldest
// first. The direct connections W3 are optional. The products of W1 with the
// embedding of every word at every position in the window are precomputed as a
// table of (V, n, hidden) floats, so that W1 x is a sum of n rows of the table.
//
// A state is the ids of the last n words; the initial state is n times <s>.
//
// Owns its vocabulary and packed weights. Immutable: any number of threads may
// use one instance.
class WindowModel final : public LanguageModel {
 public:
  // `bytes` is the contents of weights.safetensors; the model copies what it
  // needs. Returns INVALID_ARGUMENT, naming the tensor, if it is not a window
  // network over the vocabulary.
  static absl::StatusOr<std::unique_ptr<WindowModel>> Create(
      Vocabulary vocabulary, absl::string_view bytes);

  const Vocabulary& vocabulary() const override { return vocabulary_; }
  size_t state_size() const override { return window_ * sizeof(WordId); }
  void Start(std::byte* state) const override;

  // Computes each distinct context of the batch only once.
  void Score(absl::Span<const Query> batch) const override;

  void Distribution(absl::Span<const std::byte* const> states,
                    float* log_probs) const override;

  // The number n of words in a context.
  size_t window() const { return window_; }

 private:
  // The distinct contexts in a group of words to score.
  class Contexts;

  WindowModel(Vocabulary vocabulary, WeightMatrix embedding, bool direct,
              std::vector<float> hidden_bias, std::vector<float> table,
              OutputLayer output);

  size_t hidden() const { return hidden_bias_.size(); }

  // Returns the features of contexts of window_ words each, with the shape
  // (contexts, features): tanh(W1 x + b1) and, with direct connections, x.
  std::vector<float> Features(absl::Span<const WordId> contexts) const;
  void ScoreContexts(const Contexts& contexts) const;

  const Vocabulary vocabulary_;
  const OwnedMatrix embedding_;
  const bool direct_;  // whether there are direct connections
  const std::vector<float> hidden_bias_;
  const size_t window_;
  const std::vector<float> table_;  // (V, window, hidden)
  const OutputLayer output_;
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NEURAL_WINDOW_MODEL_H_
