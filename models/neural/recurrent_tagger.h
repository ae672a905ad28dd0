// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_NEURAL_RECURRENT_TAGGER_H_
#define LMSERVE_MODELS_NEURAL_RECURRENT_TAGGER_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "models/neural/character_reader.h"
#include "models/neural/label_chain.h"
#include "models/neural/network_weights.h"
#include "models/neural/recurrent_sentence_encoder.h"
#include "models/tagger_model.h"

namespace lmserve {

// The names of the tensors and metadata that weights.safetensors of a tagger
// may have in addition to those of a bidirectional network. The tensors are
// A, s and f of LabelChain. See model_store/FORMAT.md.
inline constexpr absl::string_view kTransitionsTensor = "crf.transitions";
inline constexpr absl::string_view kStartTransitionsTensor =
    "crf.start_transitions";
inline constexpr absl::string_view kEndTransitionsTensor =
    "crf.end_transitions";
inline constexpr absl::string_view kConstraintsKey = "constraints";
inline constexpr absl::string_view kBioConstraints = "bio";

// A deep recurrent network that labels the words of a sentence (Graves 2012;
// Huang, Xu and Yu 2015). Layers of two directions, or of one, read the words
// w_1 ... w_T without markers:
//
//   x_t = [embedding(w_t); characters(w_t)]
//   forward_t = cell(x_t, forward_{t-1})
//   backward_t = cell(x_t, backward_{t+1})
//   e_t = W [forward_t; backward_t] + b
//
// The first depth reads x_t; each next depth reads the states of the depth
// before; e_t, the logits of the labels, are computed from the last depth.
// characters() is a CharacterReader, or nothing. Then, for the labels y_t,
//
//   P(y_1 ... y_T) = product over t of softmax(e_t)[y_t]
//
// or, if the file has the parameters of a LabelChain, its P (Lample et al.
// 2016). If the file says that the labels are BIO labels (see labels.h),
// sequences that these do not permit get probability 0, and the probabilities
// of the others are divided by their sum. Tag() returns the sequence with the
// highest probability, and of each word the marginal distribution.
//
// Sentences of the same length are processed together, step by step. A sentence
// vector of the encoder has 0 for the characters of <unk>.
//
// Owns its vocabulary and packed weights. Immutable: any number of threads may
// use one instance.
class RecurrentTagger final : public TaggerModel {
 public:
  // `bytes` is the contents of weights.safetensors; the model copies what it
  // needs. Returns INVALID_ARGUMENT, naming the tensor, if it is not a tagger
  // over the vocabulary and the labels. REQUIRES: the labels are those that
  // ParseLabels() returned.
  static absl::StatusOr<std::unique_ptr<RecurrentTagger>> Create(
      Vocabulary vocabulary, std::vector<std::string> labels,
      absl::string_view bytes);

  const Vocabulary& vocabulary() const override { return vocabulary_; }
  absl::Span<const std::string> labels() const override { return labels_; }
  const SentenceEncoder* sentence_encoder() const override {
    return &sentence_encoder_;
  }
  void Tag(absl::Span<const Sentence> batch) const override;

 private:
  // The numbers that a LabelChain views.
  struct Chain {
    std::vector<float> transitions, start, end;

    LabelChain<float> View() const {
      return {{transitions.data(), start.size(), start.size()},
              start.data(),
              end.data()};
    }
  };

  // The parts of the network.
  struct Parts {
    OwnedMatrix embedding;
    std::optional<CharacterReader> characters;
    bool bidirectional = true;
    std::vector<RecurrentLayer> layers;
    std::unique_ptr<const Linear> output;
    std::optional<Chain> chain;  // nullopt: the labels are independent
  };
  static absl::StatusOr<Parts> ReadParts(const Vocabulary& vocabulary,
                                         absl::Span<const std::string> labels,
                                         absl::string_view bytes);
  // Reads the chain, if the file has one, and applies the constraints.
  static absl::StatusOr<std::optional<Chain>> ReadChain(
      const TensorFile& file, absl::Span<const std::string> labels);

  RecurrentTagger(Vocabulary vocabulary, std::vector<std::string> labels,
                  Parts parts);

  // Returns x, (words.size(), inputs of the first layer).
  std::vector<float> Inputs(absl::Span<const WordId> ids,
                            absl::Span<const absl::string_view> words) const;

  // Sets the labels and log_probs of a sentence from its logits (words, L).
  void SetLabels(MatrixView<const float> logits,
                 const Sentence& sentence) const;

  const Vocabulary vocabulary_;
  const std::vector<std::string> labels_;
  const Parts parts_;
  const RecurrentSentenceEncoder sentence_encoder_;
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NEURAL_RECURRENT_TAGGER_H_
