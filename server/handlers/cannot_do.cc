// SPDX-License-Identifier: Apache-2.0
#include "server/handlers/cannot_do.h"

#include "absl/strings/str_cat.h"

namespace lmserve {

absl::Status CannotDo(absl::string_view field, const LoadedVersion& model,
                      absl::string_view what) {
  absl::string_view kind = "a left-to-right model";
  absl::string_view can =
      "scores, predicts the next word, reranks and generates";
  if (model.model().kind() == ModelKind::kBidirectional) {
    kind = "a bidirectional model";
    can = "scores, reranks and fills gaps";
  } else if (model.model().kind() == ModelKind::kTranslation) {
    kind = "a translation model";
    can = "scores, reranks and generates, given a source";
  }
  return absl::FailedPreconditionError(
      absl::StrCat(field, ": '", model.name(), "' is ", kind, ": it cannot ",
                   what, "; it ", can));
}

absl::Status FamilyCannotDo(absl::string_view field, const LoadedVersion& model,
                            absl::string_view what, absl::string_view others) {
  return absl::FailedPreconditionError(absl::StrCat(
      field, ": '", model.name(), "' has the family ",
      model.manifest().family(), ": it cannot ", what, "; ", others, " can"));
}

}  // namespace lmserve
