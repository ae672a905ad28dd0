#ifndef LMSERVE_MODELS_MODEL_FACTORY_H_
#define LMSERVE_MODELS_MODEL_FACTORY_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "models/any_model.h"
#include "models/model_files.h"

namespace lmserve {

inline constexpr absl::string_view kNgramFile = "ngram.bin";
inline constexpr absl::string_view kWeightsFile = "weights.safetensors";
inline constexpr absl::string_view kNgramFamily = "ngram";
inline constexpr absl::string_view kRecurrentFamily = "recurrent";
inline constexpr absl::string_view kBidirectionalFamily = "bidirectional";
inline constexpr absl::string_view kWindowFamily = "window";
inline constexpr absl::string_view kMixtureFamily = "mixture";
inline constexpr absl::string_view kTranslationFamily = "translation";

// Makes the model of a family from its files, which says what kind it is. The
// files are not trusted: every size and offset in them is checked. Fails with
// NOT_FOUND for a family that this build does not know, and with
// INVALID_ARGUMENT, naming the file, for a file that is missing or broken.
//
// The model may use the memory of the files in place: it must outlive it.
absl::StatusOr<AnyModel> CreateModel(absl::string_view family,
                                     const ModelFiles& files);

}  // namespace lmserve

#endif  // LMSERVE_MODELS_MODEL_FACTORY_H_
