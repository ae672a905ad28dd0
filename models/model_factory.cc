#include "models/model_factory.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "models/mixture_file.h"
#include "models/ngram/ngram_model.h"
#include "models/neural/recurrent_model.h"
#include "models/neural/window_model.h"

namespace lmserve {
namespace {

using ModelOr = absl::StatusOr<std::unique_ptr<LanguageModel>>;

// A model of a vocabulary and one file more, which it reads in place.
template <typename Model>
ModelOr CreateFromFile(absl::string_view file, const ModelFiles& files) {
  absl::StatusOr<Vocabulary> vocabulary = ReadVocabulary(files);
  if (!vocabulary.ok()) return vocabulary.status();
  const absl::StatusOr<absl::string_view> bytes = FindFile(files, file);
  if (!bytes.ok()) return bytes.status();
  return Model::Create(*std::move(vocabulary), *bytes);
}

ModelOr CreateNgram(const ModelFiles& files) {
  return CreateFromFile<NgramModel>(kNgramFile, files);
}

ModelOr CreateRecurrent(const ModelFiles& files) {
  return CreateFromFile<RecurrentModel>(kWeightsFile, files);
}

ModelOr CreateWindow(const ModelFiles& files) {
  return CreateFromFile<WindowModel>(kWeightsFile, files);
}

// A kind of model, and how one is made of its files.
struct Family {
  absl::string_view name;
  ModelOr (*create)(const ModelFiles& files);
};

constexpr Family kFamilies[] = {
    {kNgramFamily, CreateNgram},
    {kRecurrentFamily, CreateRecurrent},
    {kWindowFamily, CreateWindow},
    {kMixtureFamily, CreateMixture},
};

}  // namespace

absl::StatusOr<std::unique_ptr<LanguageModel>> CreateModel(
    absl::string_view family, const ModelFiles& files) {
  for (const Family& known : kFamilies) {
    if (known.name == family) return known.create(files);
  }
  const auto append_name = [](std::string* out, const Family& known) {
    absl::StrAppend(out, known.name);
  };
  return absl::NotFoundError(absl::StrCat(
      "family: expected ", absl::StrJoin(kFamilies, " or ", append_name),
      ", found '", family, "'"));
}

}  // namespace lmserve
