// SPDX-License-Identifier: Apache-2.0
#include "trainer/commands/member_version.h"

#include "absl/strings/str_cat.h"
#include "model_store/load_version.h"
#include "model_store/manifest.h"
#include "model_store/model_name.h"
#include "models/mixture/member_files.h"

namespace lmserve {

absl::StatusOr<ModelHandle> LoadMember(const std::string& store,
                                       const std::string& spec) {
  absl::StatusOr<ModelHandle> handle = LoadModelVersion(store, spec);
  if (!handle.ok()) return handle.status();
  if ((*handle)->model().kind() != ModelKind::kLeftToRight) {
    return absl::InvalidArgumentError(
        absl::StrCat("member ", FullName(**handle), ": expected a model that ",
                     "predicts words from left to right, found the family ",
                     (*handle)->manifest().family()));
  }
  return handle;
}

std::string FullName(const LoadedVersion& loaded) {
  return VersionName(loaded.name(), loaded.version());
}

void AddMemberFiles(size_t member, const LoadedVersion& loaded,
                    NewVersion* version) {
  for (const auto& [name, bytes] : loaded.files()) {
    if (name == kVocabularyFile || name == kSelfTestFile) continue;
    version->files[MemberFileName(member, name)] = bytes;
  }
}

}  // namespace lmserve
