#ifndef LMSERVE_MODELS_NEURAL_RECURRENT_MODEL_H_
#define LMSERVE_MODELS_NEURAL_RECURRENT_MODEL_H_

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "models/language_model.h"
#include "models/neural/network_weights.h"
#include "models/neural/output_layer.h"
#include "models/neural/prefix_tree.h"
#include "models/neural/recurrent_layer.h"
#include "models/neural/source_attention.h"

namespace lmserve {

// A left-to-right recurrent language model (Mikolov et al. 2010): embedding,
// layers of a plain, gated (GRU) or long short-term memory (LSTM) cell, and a
// softmax over the vocabulary from the last layer's state.
//
// A state is, layer by layer, h and, of an LSTM, c: all floats. A text starts
// with all of them 0 and <s> read.
//
// It is the decoder of a translation model, too (Cho et al. 2014, Sutskever et
// al. 2014): then a state begins with a pointer to its EncodedSource, which
// must outlive it.
//
// Immutable: any number of threads may use one at a time.
class RecurrentModel final : public LanguageModel {
 public:
  // The bytes are weights.safetensors; they must outlive the model, which reads
  // the embedding in place. Fails with INVALID_ARGUMENT, naming the tensor,
  // where they are not those of such a model over that vocabulary.
  static absl::StatusOr<std::unique_ptr<RecurrentModel>> Create(
      Vocabulary vocabulary, absl::string_view bytes);

  // A decoder, of parts whose embedding may be empty: then it does not read the
  // words before. Its texts start from source.start; what Start() writes is to
  // be set.
  RecurrentModel(Vocabulary vocabulary, RecurrentParts parts,
                 std::optional<SourceAttention> attention);

  // Sets source->start, reading <s>, from what the layers' states are before:
  // layer by layer, h and c.
  void StartFrom(absl::Span<const float> before, EncodedSource* source) const;
  // Null: of none.
  const SourceAttention* attention() const {
    return attention_.has_value() ? &*attention_ : nullptr;
  }
  // The attention of a state, by the steps of its source. REQUIRES:
  // attention() is not null.
  void Look(const std::byte* state, absl::Span<float> weights) const;
  void set_start(std::vector<float> start) { start_ = std::move(start); }

  const Vocabulary& vocabulary() const override { return vocabulary_; }
  size_t state_size() const override;
  void Start(std::byte* state) const override;

  // Computes what the texts share at their beginnings once.
  void Score(absl::Span<const Query> batch) const override;

  void Distribution(absl::Span<const std::byte* const> states,
                    float* log_probs) const override;

 private:
  class Pass;

  RecurrentModel(Vocabulary vocabulary, RecurrentParts parts);

  // Scores texts of few enough words to be held in memory at once.
  void ScoreGroup(absl::Span<const Query> group) const;
  void ScoreInParts(const Query& query) const;

  // The features that the output layer reads, from the states of the last layer
  // (rows, units) and, of a decoder, the rows' sources.
  void Attend(absl::Span<const EncodedSource* const> sources,
              std::vector<float>* rows) const;

  // Of a decoder.
  static const EncodedSource* SourceOf(const std::byte* state);

  // Copies the last layer's h of a state.
  void CopyLast(const std::byte* state, float* h) const;

  // Where layer i begins in a state, in floats.
  size_t StateOffset(size_t layer) const;
  size_t StateFloats(const RecurrentLayer& layer) const {
    return layer.units() * (layer.has_cell_state() ? 2 : 1);
  }

  const Vocabulary vocabulary_;
  const WeightMatrix embedding_;
  const std::vector<RecurrentLayer> layers_;
  const OutputLayer output_;
  const bool is_decoder_ = false;
  const std::optional<SourceAttention> attention_;
  std::vector<float> start_;
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NEURAL_RECURRENT_MODEL_H_
