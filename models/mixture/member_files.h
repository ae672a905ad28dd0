// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_MIXTURE_MEMBER_FILES_H_
#define LMSERVE_MODELS_MIXTURE_MEMBER_FILES_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "models/language_model.h"
#include "models/model_files.h"

namespace lmserve {

// The files of a model that contains other models, its members: those of member
// i are stored under the names i.FILE. All members share vocabulary.txt. See
// model_store/FORMAT.md. All functions here are thread-safe.

// How deep models may be nested: a model at this depth has no members.
inline constexpr int kMaxModelDepth = 5;

// Returns INVALID_ARGUMENT if a model at this depth must not have members. The
// outermost model has depth 1.
absl::Status CheckMayHaveMembers(int depth);

// Returns the name of a member's file among the files of the model that
// contains it, such as "0.ngram.bin".
std::string MemberFileName(size_t member, absl::string_view file);

// Creates a member of a model with these files, which is at nesting depth
// `depth`. Errors and ownership are those of CreateModel(). Returns
// INVALID_ARGUMENT if the member does not read from left to right.
absl::StatusOr<std::unique_ptr<LanguageModel>> CreateMember(
    absl::string_view family, size_t member, const ModelFiles& files,
    int depth);

}  // namespace lmserve

#endif  // LMSERVE_MODELS_MIXTURE_MEMBER_FILES_H_
