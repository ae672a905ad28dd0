#include "models/model_factory.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "models/mixture_file.h"
#include "models/ngram/ngram_model.h"

namespace lmserve {
namespace {

using ModelOr = absl::StatusOr<std::unique_ptr<LanguageModel>>;

ModelOr CreateNgram(const ModelFiles& files) {
  absl::StatusOr<Vocabulary> vocabulary = ReadVocabulary(files);
  if (!vocabulary.ok()) return vocabulary.status();
  const absl::StatusOr<absl::string_view> bytes = FindFile(files, kNgramFile);
  if (!bytes.ok()) return bytes.status();
  return NgramModel::Create(*std::move(vocabulary), *bytes);
}

// A kind of model, and how one is made of its files.
struct Family {
  absl::string_view name;
  ModelOr (*create)(const ModelFiles& files);
};

constexpr Family kFamilies[] = {
    {kNgramFamily, CreateNgram},
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
