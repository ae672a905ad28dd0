// SPDX-License-Identifier: Apache-2.0
#include "models/model_files.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace lmserve {

absl::StatusOr<absl::string_view> FindFile(const ModelFiles& files,
                                           absl::string_view name) {
  const auto found = files.find(name);
  if (found == files.end()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the file ", name, " is missing"));
  }
  return found->second;
}

absl::StatusOr<Vocabulary> ReadVocabulary(const ModelFiles& files,
                                          absl::string_view name) {
  const absl::StatusOr<absl::string_view> text = FindFile(files, name);
  if (!text.ok()) return text.status();
  return Vocabulary::Parse(std::string(*text));
}

}  // namespace lmserve
