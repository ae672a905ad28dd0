#ifndef LMSERVE_MODELS_NEURAL_WINDOW_MODEL_H_
#define LMSERVE_MODELS_NEURAL_WINDOW_MODEL_H_

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "models/language_model.h"
#include "models/neural/output_layer.h"
#include "models/neural/weight_matrix.h"

namespace lmserve {

// The window-based network of Bengio et al. 2003:
//   y = softmax(W2 tanh(W1 x + b1) + W3 x + b3)
// with x the embeddings of the last n words, the farthest first; W3, the direct
// connections, may be absent. W1 times the embedding of every word at every
// place is multiplied beforehand, (V, n, hidden) floats, so that the hidden
// layer costs n sums of rows.
//
// A state is the ids of the last n words; a text starts after n times <s>.
// Immutable: any number of threads may use one at a time.
class WindowModel final : public LanguageModel {
 public:
  // The bytes are weights.safetensors; they must outlive the model, which reads
  // the embedding in place. Fails with INVALID_ARGUMENT, naming the tensor,
  // where they are not those of such a model over that vocabulary.
  static absl::StatusOr<std::unique_ptr<WindowModel>> Create(
      Vocabulary vocabulary, absl::string_view bytes);

  const Vocabulary& vocabulary() const override { return vocabulary_; }
  size_t state_size() const override { return window_ * sizeof(WordId); }
  void Start(std::byte* state) const override;

  // Computes equal contexts of the batch once.
  void Score(absl::Span<const Query> batch) const override;

  void Distribution(absl::Span<const std::byte* const> states,
                    float* log_probs) const override;

  // Words of context.
  size_t window() const { return window_; }

 private:
  // The contexts of some words to score.
  class Contexts;

  WindowModel(Vocabulary vocabulary, WeightMatrix embedding, bool direct,
              std::vector<float> hidden_bias, std::vector<float> table,
              OutputLayer output);

  size_t hidden() const { return hidden_bias_.size(); }

  // The features (count, width) of contexts of window_ words each.
  std::vector<float> Features(absl::Span<const WordId> contexts) const;
  void ScoreContexts(const Contexts& contexts) const;

  const Vocabulary vocabulary_;
  const WeightMatrix embedding_;
  const bool direct_;
  const std::vector<float> hidden_bias_;
  const size_t window_;
  const std::vector<float> table_;  // (V, window, hidden)
  const OutputLayer output_;
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NEURAL_WINDOW_MODEL_H_
