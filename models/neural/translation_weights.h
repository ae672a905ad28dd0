// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_NEURAL_TRANSLATION_WEIGHTS_H_
#define LMSERVE_MODELS_NEURAL_TRANSLATION_WEIGHTS_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "models/neural/linear.h"
#include "models/neural/network_weights.h"
#include "models/neural/recurrent_layer.h"
#include "models/neural/source_attention.h"
#include "models/vocabulary.h"

namespace lmserve {

// The names of the tensors and metadata that weights.safetensors of a
// translation model has in addition to those of a language model, which belong
// to the decoder. See model_store/FORMAT.md.
inline constexpr absl::string_view kSourcePrefix = "source.";
inline constexpr absl::string_view kSourceEmbeddingTensor =
    "source.encoder.weight";
inline constexpr absl::string_view kAttentionKeyTensor = "attention.key.weight";
inline constexpr absl::string_view kAttentionContextTensor =
    "attention.context.weight";
inline constexpr absl::string_view kAttentionStateTensor =
    "attention.state.weight";
inline constexpr absl::string_view kReverseSourceKey = "reverse_source";

// Returns the name of a tensor of the bridge, such as "bridge.weight_h_l0".
// `what` is "weight" or "bias"; `state` is "h" or "c".
std::string BridgeTensor(absl::string_view what, absl::string_view state,
                         size_t layer);

// The parts that encode a source and compute the initial state of the decoder.
struct EncoderParts {
  // Maps the last states of both directions of an encoder layer to the initial
  // state of the decoder layer at the same depth.
  struct Bridge {
    std::unique_ptr<const Linear> h;
    std::unique_ptr<const Linear> c;  // null unless the cell is an LSTM
  };

  bool reverse_source;    // whether the words are read in reverse order
  OwnedMatrix embedding;  // (source vocabulary size, embedding size)
  bool bidirectional;
  std::vector<RecurrentLayer> layers;
  // One for each depth. Empty if the encoder has one direction: then the
  // decoder starts from the last states of the encoder.
  std::vector<Bridge> bridges;
  // Maps the last state of the encoder to its contribution to the gates of the
  // decoder's first layer. Null if the decoder does not read that state.
  std::unique_ptr<const Linear> context;

  // The number of units of the last depth, in all directions.
  size_t outputs() const;
};

// The parts of a translation model, which own their numbers.
struct TranslationParts {
  EncoderParts encoder;
  RecurrentParts decoder;  // its embedding is empty if it reads no words
  std::optional<SourceAttention> attention;
};
// Returns INVALID_ARGUMENT, naming the tensor, if the file is not a translation
// model over the vocabularies. Thread-safe.
absl::StatusOr<TranslationParts> ReadTranslationParts(
    absl::string_view bytes, const Vocabulary& source_vocabulary,
    const Vocabulary& vocabulary);

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NEURAL_TRANSLATION_WEIGHTS_H_
