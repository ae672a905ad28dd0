#ifndef LMSERVE_MODELS_NEURAL_TRANSLATION_WEIGHTS_H_
#define LMSERVE_MODELS_NEURAL_TRANSLATION_WEIGHTS_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace lmserve {

// What weights.safetensors of a translation model has besides the tensors of a
// language model, which are the decoder's. See model_store/FORMAT.md.
inline constexpr absl::string_view kSourcePrefix = "source.";
inline constexpr absl::string_view kSourceEmbeddingTensor =
    "source.encoder.weight";
inline constexpr absl::string_view kAttentionTensor = "attention.weight";
inline constexpr absl::string_view kAttentionOutputTensor =
    "attention.output.weight";
inline constexpr absl::string_view kReverseSourceKey = "reverse_source";

// "bridge.weight_h_l0" and its like; what is "weight" or "bias", state "h" or
// "c".
std::string BridgeTensor(absl::string_view what, absl::string_view state,
                         size_t layer);

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NEURAL_TRANSLATION_WEIGHTS_H_
