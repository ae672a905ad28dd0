// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_NEURAL_RECURRENT_MODEL_H_
#define LMSERVE_MODELS_NEURAL_RECURRENT_MODEL_H_

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "models/hidden_state_model.h"
#include "models/language_model.h"
#include "models/neural/network_weights.h"
#include "models/neural/output_layer.h"
#include "models/neural/prefix_tree.h"
#include "models/neural/recurrent_layer.h"
#include "models/neural/recurrent_sentence_encoder.h"
#include "models/neural/source_attention.h"

namespace lmserve {

// A left-to-right recurrent language model (Mikolov et al. 2010) with layers of
// plain, GRU or LSTM cells. With x_t the embedding of word w_t,
//
//   h^1_t = cell(x_t, h^1_{t-1})        h^i_t = cell(h^{i-1}_t, h^i_{t-1})
//   P(w_{t+1} | w_1 ... w_t) = softmax(W h^L_t + b)_{w_{t+1}}
//
// for the layers i = 1 ... L. A state has, for each layer, the floats h and,
// for an LSTM, c. The initial state is the one after reading <s> with all
// floats 0.
//
// The class is also the decoder of a translation model (Cho et al. 2014,
// Sutskever et al. 2014). Then a state begins with a pointer to its
// EncodedSource, which must outlive the state.
//
// Owns its vocabulary and packed weights. Immutable: any number of threads may
// use one instance.
class RecurrentModel final : public LanguageModel,
                             public InspectableModel,
                             public HiddenStateModel {
 public:
  // `bytes` is the contents of weights.safetensors; the model copies what it
  // needs. Returns INVALID_ARGUMENT, naming the tensor, if it is not a
  // left-to-right network over the vocabulary.
  static absl::StatusOr<std::unique_ptr<RecurrentModel>> Create(
      Vocabulary vocabulary, absl::string_view bytes);

  // Creates a decoder. If the embedding in `parts` is empty, the decoder does
  // not read the words of the translation. Initial states come from
  // EncodedSource::start. The caller must set the state that Start() writes
  // with set_start().
  RecurrentModel(Vocabulary vocabulary, RecurrentParts parts,
                 std::optional<SourceAttention> attention);

  // Returns the state of a decoder before <s>. `before` has the states of its
  // layers: h and, for an LSTM, c of each layer.
  std::vector<float> StateBefore(absl::Span<const float> before,
                                 const EncodedSource* source) const;

  // Sets source->start to the state after <s>, for `before` as above.
  void StartFrom(absl::Span<const float> before, EncodedSource* source) const;
  // The number of layers.
  size_t depth() const { return layers_.size(); }
  // Returns null if the model has no attention.
  const SourceAttention* attention() const {
    return attention_.has_value() ? &*attention_ : nullptr;
  }
  // Computes the attention weights of a state on the steps of its source.
  // REQUIRES: attention() is not null.
  void ComputeAttention(const std::byte* state,
                        absl::Span<float> weights) const;
  void set_start(std::vector<float> start) { start_ = std::move(start); }

  const Vocabulary& vocabulary() const override { return vocabulary_; }
  size_t state_size() const override;
  void Start(std::byte* state) const override;

  // Computes the prefixes that texts of the batch share only once.
  void Score(absl::Span<const Query> batch) const override;

  void Distribution(absl::Span<const std::byte* const> states,
                    float* log_probs) const override;

  // Null for a decoder.
  const SentenceEncoder* sentence_encoder() const override {
    return is_decoder_ ? nullptr : &sentence_encoder_;
  }
  // Null for a decoder.
  const InspectableModel* inspectable() const override {
    return is_decoder_ ? nullptr : this;
  }
  // Null for a decoder, whose attention also sees the source.
  const HiddenStateModel* hidden_states() const override {
    return is_decoder_ ? nullptr : this;
  }
  size_t hidden_size() const override { return layers_.back().units(); }
  void ScoreWithHidden(absl::Span<const Query> batch,
                       float* hidden) const override;
  void CopyHidden(const std::byte* state, float* hidden) const override;

  std::vector<Layer> layers() const override;
  // REQUIRES: the model is no decoder.
  std::unique_ptr<Reading> Read(const Text& text,
                                size_t part_words) const override;
  // Starts to read <s> and the words from the state `before`. An observer gets
  // no attention.
  std::unique_ptr<Reading> ReadFrom(std::vector<float> before,
                                    absl::Span<const WordId> words,
                                    size_t part_words) const;

 private:
  class Pass;
  class TextReading;

  RecurrentModel(Vocabulary vocabulary, RecurrentParts parts);

  // Scores a group of texts in one pass through the network. `hidden` may be
  // null or receives the states before their words (words, hidden_size()).
  // `visit` gets the values after each word of the group's only text, with
  // steps from 1 on.
  void ScoreGroup(absl::Span<const Query> group, float* hidden,
                  std::optional<StepVisit> visit = {}) const;
  // Scores a long text in several passes.
  void ScoreInParts(const Query& query, float* hidden) const;

  // Converts states h of the last layer (rows, units) to the features that the
  // output layer reads: applies attention if the model has it. sources[r] is
  // the source of row r.
  void ApplyAttention(absl::Span<const EncodedSource* const> sources,
                      std::vector<float>* rows) const;

  // Returns the source of a state. REQUIRES: the model is a decoder.
  static const EncodedSource* SourceOf(const std::byte* state);

  // Returns the offset of a layer in a state, in floats.
  size_t StateOffset(size_t layer) const;
  size_t StateFloats(const RecurrentLayer& layer) const {
    return layer.units() * (layer.has_cell_state() ? 2 : 1);
  }

  const Vocabulary vocabulary_;
  const OwnedMatrix embedding_;
  const std::vector<RecurrentLayer> layers_;
  const OutputLayer output_;
  const RecurrentSentenceEncoder sentence_encoder_{
      RecurrentSentenceEncoder::Model{
          .vocabulary = vocabulary_,
          .layers = layers_,
          .reads_begin = true,
          .inputs = [this](absl::Span<const WordId> words) {
            return embedding_->CopyRows(words);
          }}};
  const bool is_decoder_ = false;
  const std::optional<SourceAttention> attention_;
  std::vector<float> start_;  // the state that Start() writes
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NEURAL_RECURRENT_MODEL_H_
