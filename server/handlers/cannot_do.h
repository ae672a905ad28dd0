// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_HANDLERS_CANNOT_DO_H_
#define LMSERVE_SERVER_HANDLERS_CANNOT_DO_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "model_store/loaded_version.h"

namespace lmserve {

// Returns FAILED_PRECONDITION for a request that a model of this kind cannot
// answer. The message is "FIELD: 'MODEL' is KIND: it cannot WHAT; it ...", and
// ends with what such a model can do.
absl::Status CannotDo(absl::string_view field, const LoadedVersion& model,
                      absl::string_view what);

// Returns the same error if the model gives texts no probability, as taggers
// and classifiers do not, and otherwise OK.
absl::Status CheckScoresTexts(absl::string_view field,
                              const LoadedVersion& model,
                              absl::string_view what);

// The same for a request that the models of other families can answer, which
// `others` names: "FIELD: 'MODEL' has the family FAMILY: it cannot WHAT; OTHERS
// can".
absl::Status FamilyCannotDo(absl::string_view field, const LoadedVersion& model,
                            absl::string_view what, absl::string_view others);

}  // namespace lmserve

#endif  // LMSERVE_SERVER_HANDLERS_CANNOT_DO_H_
