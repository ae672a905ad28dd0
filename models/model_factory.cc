// SPDX-License-Identifier: Apache-2.0
#include "models/model_factory.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "models/cache/cache_file.h"
#include "models/labels.h"
#include "models/mixture/mixture_file.h"
#include "models/neural/recurrent_bidirectional_model.h"
#include "models/neural/recurrent_classifier.h"
#include "models/neural/recurrent_model.h"
#include "models/neural/recurrent_tagger.h"
#include "models/neural/recurrent_translation_model.h"
#include "models/neural/tensor_file.h"
#include "models/neural/window_model.h"
#include "models/ngram/compact/count_model.h"
#include "models/ngram/compact/value_model.h"
#include "models/ngram/fast/ngram_model.h"
#include "models/printable_text.h"

namespace lmserve {
namespace {

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

absl::StatusOr<AnyModel> CreateNgram(const ModelFiles& files, int /*depth*/) {
  const absl::StatusOr<absl::string_view> bytes = FindFile(files, kNgramFile);
  if (!bytes.ok()) return bytes.status();
  if (CountTrie::Matches(*bytes)) {
    return CreateFromFile<CountModel>(kNgramFile, files);
  }
  if (ValueTrie::Matches(*bytes)) {
    return CreateFromFile<ValueModel>(kNgramFile, files);
  }
  return CreateFromFile<NgramModel>(kNgramFile, files);
}

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

absl::StatusOr<AnyModel> CreateMixtureModel(const ModelFiles& files,
                                            int depth) {
  absl::StatusOr<std::unique_ptr<LanguageModel>> model =
      CreateMixture(files, depth);
  if (!model.ok()) return model.status();
  return AnyModel(*std::move(model));
}

absl::StatusOr<AnyModel> CreateCacheModel(const ModelFiles& files, int depth) {
  absl::StatusOr<std::unique_ptr<LanguageModel>> model =
      CreateCache(files, depth);
  if (!model.ok()) return model.status();
  return AnyModel(*std::move(model));
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

// The name of a model family and the function that creates its models.
struct Family {
  absl::string_view name;
  absl::StatusOr<AnyModel> (*create)(const ModelFiles& files, int depth);
};

constexpr Family kFamilies[] = {
    {kNgramFamily, CreateNgram},
    {kRecurrentFamily, CreateRecurrent},
    {kBidirectionalFamily, CreateBidirectional},
    {kWindowFamily, CreateWindow},
    {kMixtureFamily, CreateMixtureModel},
    {kCacheFamily, CreateCacheModel},
    {kTranslationFamily, CreateTranslation},
    {kTaggerFamily, CreateTagger},
    {kClassifierFamily, CreateClassifier},
};

}  // namespace

// The file of a member ends with the name of the member's file.
bool IsReadInPlace(absl::string_view file) {
  return absl::EndsWith(file, kNgramFile);
}

bool HasReducedWeights(const ModelFiles& files) {
  for (const auto& [name, bytes] : files) {
    if (absl::EndsWith(name, kCacheFile)) {
      const absl::StatusOr<CacheFile> cache = ParseCacheFile(bytes);
      if (cache.ok() && cache->options.keys != Precision::kFloat) return true;
    }
    if (!absl::EndsWith(name, kWeightsFile)) continue;
    const absl::StatusOr<TensorFile> file = TensorFile::Parse(bytes);
    if (!file.ok()) continue;
    for (const auto& [unused, tensor] : file->tensors()) {
      if (tensor.type == TensorType::kBf16 || tensor.type == TensorType::kI8) {
        return true;
      }
    }
  }
  return false;
}

absl::StatusOr<AnyModel> CreateModel(absl::string_view family,
                                     const ModelFiles& files, int depth) {
  for (const Family& known : kFamilies) {
    if (known.name == family) return known.create(files, depth);
  }
  const auto append_name = [](std::string* out, const Family& known) {
    absl::StrAppend(out, known.name);
  };
  return absl::NotFoundError(absl::StrCat(
      "family: expected ", absl::StrJoin(kFamilies, " or ", append_name),
      ", found '", Printable(family), "'"));
}

}  // namespace lmserve
