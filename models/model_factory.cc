// SPDX-License-Identifier: Apache-2.0
#include "models/model_factory.h"

#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "models/cache/cache_file.h"
#include "models/mixture/mixture_file.h"
#include "models/model_family.h"
#include "models/neural/tensor_file.h"
#include "models/ngram/compact/count_model.h"
#include "models/ngram/compact/value_model.h"
#include "models/ngram/fast/ngram_model.h"
#include "models/printable_text.h"

namespace lmserve {
namespace {

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

constexpr ModelFamily kFamilies[] = {
    {kNgramFamily, CreateNgram},
    {kMixtureFamily, CreateMixtureModel},
    {kCacheFamily, CreateCacheModel},
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
  std::vector<absl::string_view> names;
  for (const absl::Span<const ModelFamily> families :
       {absl::MakeConstSpan(kFamilies), NeuralFamilies()}) {
    for (const ModelFamily& known : families) {
      if (known.name == family) return known.create(files, depth);
      names.push_back(known.name);
    }
  }
  return absl::NotFoundError(absl::StrCat("family: expected ",
                                          absl::StrJoin(names, " or "),
                                          ", found '", Printable(family), "'"));
}

}  // namespace lmserve
