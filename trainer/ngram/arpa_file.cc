// SPDX-License-Identifier: Apache-2.0
#include "trainer/ngram/arpa_file.h"

#include <memory>

#include "absl/strings/str_cat.h"
#include "model_store/loaded_version.h"
#include "models/model_factory.h"
#include "ngram_files/arpa.h"
#include "text_io/output_file.h"

namespace lmserve {
absl::Status WriteArpaFile(const std::string& store, const std::string& name,
                           uint64_t version, const std::string& path) {
  absl::StatusOr<ModelHandle> handle =
      LoadModel(store, name, version, {.follow_links = true});
  if (!handle.ok()) return handle.status();
  const std::string& family = (*handle)->manifest().family();
  if (family != kNgramFamily) {
    return absl::FailedPreconditionError(absl::StrCat(
        "model ", name, ": expected the family ngram, found ", family));
  }
  const auto& model =
      dynamic_cast<const NgramSet&>(*(*handle)->model().left_to_right());
  absl::StatusOr<std::unique_ptr<OutputFile>> file = OutputFile::Open(path);
  if (!file.ok()) return file.status();
  absl::Status status = WriteArpa(model, (*file)->stream());
  if (!status.ok()) return status;
  return (*file)->Close();
}

}  // namespace lmserve
