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

// What weights.safetensors of a translation model has besides the tensors of a
// language model, which are the decoder's. See model_store/FORMAT.md.
inline constexpr absl::string_view kSourcePrefix = "source.";
inline constexpr absl::string_view kSourceEmbeddingTensor =
    "source.encoder.weight";
inline constexpr absl::string_view kAttentionKeyTensor = "attention.key.weight";
inline constexpr absl::string_view kAttentionContextTensor =
    "attention.context.weight";
inline constexpr absl::string_view kAttentionStateTensor =
    "attention.state.weight";
inline constexpr absl::string_view kReverseSourceKey = "reverse_source";

// "bridge.weight_h_l0" and its like; what is "weight" or "bias", state "h" or
// "c".
std::string BridgeTensor(absl::string_view what, absl::string_view state,
                         size_t layer);

// What reads a source and makes of it what the decoder starts from.
struct EncoderParts {
  // From the last states of both directions of a layer to the decoder's first.
  struct Bridge {
    std::unique_ptr<const Linear> h;
    std::unique_ptr<const Linear> c;  // of an LSTM; else null
  };

  bool reverse_source;  // words are read last to first
  WeightMatrix embedding;
  bool bidirectional;
  std::vector<RecurrentLayer> layers;
  // By layer; none where there is one direction: then its states are the
  // decoder's.
  std::vector<Bridge> bridges;
  // From the last state to what it adds to the gates of the decoder's first
  // layer; or null.
  std::unique_ptr<const Linear> context;

  // Of the last layer, of both directions.
  size_t outputs() const;
};

// What a translation model is made of: of weights.safetensors, whose bytes must
// outlive it.
struct TranslationParts {
  EncoderParts encoder;
  RecurrentParts decoder;  // its embedding is empty if it reads no word
  std::optional<SourceAttention> attention;
};
absl::StatusOr<TranslationParts> ReadTranslationParts(
    absl::string_view bytes, const Vocabulary& source_vocabulary,
    const Vocabulary& vocabulary);

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NEURAL_TRANSLATION_WEIGHTS_H_
