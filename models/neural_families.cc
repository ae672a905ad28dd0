// SPDX-License-Identifier: Apache-2.0
#include <string>
#include <utility>
#include <vector>

#include "models/labels.h"
#include "models/model_family.h"
#include "models/neural/recurrent_bidirectional_model.h"
#include "models/neural/recurrent_classifier.h"
#include "models/neural/recurrent_model.h"
#include "models/neural/recurrent_tagger.h"
#include "models/neural/recurrent_translation_model.h"
#include "models/neural/window_model.h"

namespace lmserve {
namespace {

absl::StatusOr<AnyModel> CreateRecurrent(const ModelFiles& files,
                                         int /*depth*/) {
  return CreateFromFile<RecurrentModel>(kWeightsFile, files);
}

absl::StatusOr<AnyModel> CreateBidirectional(const ModelFiles& files,
                                             int /*depth*/) {
  return CreateFromFile<RecurrentBidirectionalModel>(kWeightsFile, files);
}

absl::StatusOr<AnyModel> CreateWindow(const ModelFiles& files, int /*depth*/) {
  return CreateFromFile<WindowModel>(kWeightsFile, files);
}

absl::StatusOr<AnyModel> CreateTranslation(const ModelFiles& files,
                                           int /*depth*/) {
  absl::StatusOr<Vocabulary> source =
      ReadVocabulary(files, kSourceVocabularyFile);
  if (!source.ok()) return source.status();
  absl::StatusOr<Vocabulary> vocabulary = ReadVocabulary(files);
  if (!vocabulary.ok()) return vocabulary.status();
  const absl::StatusOr<absl::string_view> bytes = FindFile(files, kWeightsFile);
  if (!bytes.ok()) return bytes.status();
  auto model = RecurrentTranslationModel::Create(
      *std::move(source), *std::move(vocabulary), *bytes);
  if (!model.ok()) return model.status();
  return AnyModel(*std::move(model));
}

// Creates a model from vocabulary.txt, labels.txt and the weights.
template <typename Model>
absl::StatusOr<AnyModel> CreateLabeling(const ModelFiles& files) {
  absl::StatusOr<Vocabulary> vocabulary = ReadVocabulary(files);
  if (!vocabulary.ok()) return vocabulary.status();
  const absl::StatusOr<absl::string_view> text = FindFile(files, kLabelsFile);
  if (!text.ok()) return text.status();
  absl::StatusOr<std::vector<std::string>> labels = ParseLabels(*text);
  if (!labels.ok()) return labels.status();
  const absl::StatusOr<absl::string_view> bytes = FindFile(files, kWeightsFile);
  if (!bytes.ok()) return bytes.status();
  auto model =
      Model::Create(*std::move(vocabulary), *std::move(labels), *bytes);
  if (!model.ok()) return model.status();
  return AnyModel(*std::move(model));
}

absl::StatusOr<AnyModel> CreateTagger(const ModelFiles& files, int /*depth*/) {
  return CreateLabeling<RecurrentTagger>(files);
}

absl::StatusOr<AnyModel> CreateClassifier(const ModelFiles& files,
                                          int /*depth*/) {
  return CreateLabeling<RecurrentClassifier>(files);
}

constexpr ModelFamily kNeuralFamilies[] = {
    {kRecurrentFamily, CreateRecurrent},
    {kBidirectionalFamily, CreateBidirectional},
    {kWindowFamily, CreateWindow},
    {kTranslationFamily, CreateTranslation},
    {kTaggerFamily, CreateTagger},
    {kClassifierFamily, CreateClassifier},
};

}  // namespace

absl::Span<const ModelFamily> NeuralFamilies() { return kNeuralFamilies; }

}  // namespace lmserve
