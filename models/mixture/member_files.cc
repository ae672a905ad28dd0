// SPDX-License-Identifier: Apache-2.0
#include "models/mixture/member_files.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "models/model_factory.h"

namespace lmserve {
namespace {

// Returns the files of a member under their names without the prefix, and the
// vocabulary, which all members share.
ModelFiles MemberFiles(const ModelFiles& files, size_t member,
                       absl::string_view vocabulary) {
  const std::string prefix = MemberFileName(member, "");
  ModelFiles own;
  for (auto file = files.lower_bound(prefix);
       file != files.end() && absl::StartsWith(file->first, prefix); ++file) {
    own[file->first.substr(prefix.size())] = file->second;
  }
  own[std::string(kVocabularyFile)] = vocabulary;
  return own;
}

}  // namespace

absl::Status CheckMayHaveMembers(int depth) {
  if (depth < kMaxModelDepth) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("expected at most ", kMaxModelDepth - 1,
                   " levels of nested mixtures and caches"));
}

std::string MemberFileName(size_t member, absl::string_view file) {
  return absl::StrCat(member, ".", file);
}

absl::StatusOr<std::unique_ptr<LanguageModel>> CreateMember(
    absl::string_view family, size_t member, const ModelFiles& files,
    int depth) {
  const absl::StatusOr<absl::string_view> vocabulary =
      FindFile(files, kVocabularyFile);
  if (!vocabulary.ok()) return vocabulary.status();
  absl::StatusOr<AnyModel> model =
      CreateModel(family, MemberFiles(files, member, *vocabulary), depth + 1);
  if (!model.ok()) return model.status();
  if (model->kind() != ModelKind::kLeftToRight) {
    return absl::InvalidArgumentError(absl::StrCat(
        "expected a left-to-right model, found ", KindName(model->kind())));
  }
  return (*std::move(model)).TakeLeftToRight();
}

}  // namespace lmserve
