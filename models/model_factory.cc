#include "models/model_factory.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "models/ngram/ngram_model.h"

namespace lmserve {
namespace {

absl::StatusOr<absl::string_view> Find(const ModelFiles& files,
                                       absl::string_view name) {
  const auto found = files.find(std::string(name));
  if (found == files.end()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the file ", name, " is missing"));
  }
  return found->second;
}

absl::StatusOr<std::unique_ptr<LanguageModel>> CreateNgram(
    Vocabulary vocabulary, const ModelFiles& files) {
  const absl::StatusOr<absl::string_view> bytes = Find(files, kNgramFile);
  if (!bytes.ok()) return bytes.status();
  return NgramModel::Create(std::move(vocabulary), *bytes);
}

}  // namespace

absl::StatusOr<std::unique_ptr<LanguageModel>> CreateModel(
    absl::string_view family, const ModelFiles& files) {
  if (family != kNgramFamily) {
    return absl::NotFoundError(absl::StrCat("family: expected ", kNgramFamily,
                                            ", found '", family, "'"));
  }
  const absl::StatusOr<absl::string_view> text = Find(files, kVocabularyFile);
  if (!text.ok()) return text.status();
  absl::StatusOr<Vocabulary> vocabulary = Vocabulary::Parse(std::string(*text));
  if (!vocabulary.ok()) return vocabulary.status();
  return CreateNgram(*std::move(vocabulary), files);
}

}  // namespace lmserve
