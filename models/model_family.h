// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_MODEL_FAMILY_H_
#define LMSERVE_MODELS_MODEL_FAMILY_H_

#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "models/any_model.h"
#include "models/model_files.h"
#include "models/vocabulary.h"

namespace lmserve {

// Names of files in a model version, and the families that the manifest of a
// version names.
inline constexpr absl::string_view kNgramFile = "ngram.bin";
inline constexpr absl::string_view kWeightsFile = "weights.safetensors";
inline constexpr absl::string_view kNgramFamily = "ngram";
inline constexpr absl::string_view kRecurrentFamily = "recurrent";
inline constexpr absl::string_view kBidirectionalFamily = "bidirectional";
inline constexpr absl::string_view kWindowFamily = "window";
inline constexpr absl::string_view kMixtureFamily = "mixture";
inline constexpr absl::string_view kCacheFamily = "cache";
inline constexpr absl::string_view kTranslationFamily = "translation";
inline constexpr absl::string_view kTaggerFamily = "tagger";
inline constexpr absl::string_view kClassifierFamily = "classifier";

// The name of a model family and the function that creates its models; see
// CreateModel().
struct ModelFamily {
  absl::string_view name;
  absl::StatusOr<AnyModel> (*create)(const ModelFiles& files, int depth);
};

// The families of neural networks. A build without them (LMSERVE_NEURAL) has
// the names, and functions that fail with UNIMPLEMENTED.
absl::Span<const ModelFamily> NeuralFamilies();

// Creates a model from vocabulary.txt and one more file.
template <typename Model>
absl::StatusOr<AnyModel> CreateFromFile(absl::string_view file,
                                        const ModelFiles& files) {
  absl::StatusOr<Vocabulary> vocabulary = ReadVocabulary(files);
  if (!vocabulary.ok()) return vocabulary.status();
  const absl::StatusOr<absl::string_view> bytes = FindFile(files, file);
  if (!bytes.ok()) return bytes.status();
  auto model = Model::Create(*std::move(vocabulary), *bytes);
  if (!model.ok()) return model.status();
  return AnyModel(*std::move(model));
}

}  // namespace lmserve

#endif  // LMSERVE_MODELS_MODEL_FAMILY_H_
