// SPDX-License-Identifier: Apache-2.0
#include "server/handlers/cannot_do.h"

#include "absl/strings/str_cat.h"

namespace lmserve {
namespace {

absl::string_view Abilities(ModelKind kind) {
  switch (kind) {
    case ModelKind::kLeftToRight:
      return "scores, predicts the next word, reranks and generates";
    case ModelKind::kBidirectional:
      return "scores, reranks and fills gaps";
    case ModelKind::kTranslation:
      return "scores, reranks and generates, given a source";
    case ModelKind::kTagger:
      return "labels the words of sentences: call Tag";
    case ModelKind::kClassifier:
      break;
  }
  return "labels texts: call Classify";
}

}  // namespace

absl::Status CannotDo(absl::string_view field, const LoadedVersion& model,
                      absl::string_view what) {
  const ModelKind kind = model.model().kind();
  return absl::FailedPreconditionError(
      absl::StrCat(field, ": '", model.name(), "' is ", KindName(kind),
                   ": it cannot ", what, "; it ", Abilities(kind)));
}

absl::Status CheckScoresTexts(absl::string_view field,
                              const LoadedVersion& model,
                              absl::string_view what) {
  if (model.model().scores_texts()) return absl::OkStatus();
  return CannotDo(field, model, what);
}

absl::Status FamilyCannotDo(absl::string_view field, const LoadedVersion& model,
                            absl::string_view what, absl::string_view others) {
  return absl::FailedPreconditionError(absl::StrCat(
      field, ": '", model.name(), "' has the family ",
      model.manifest().family(), ": it cannot ", what, "; ", others, " can"));
}

}  // namespace lmserve
