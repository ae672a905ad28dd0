// SPDX-License-Identifier: Apache-2.0
#include "trainer/commands/load_version.h"

#include "absl/strings/str_cat.h"
#include "model_store/model_name.h"
#include "model_store/publish.h"

namespace lmserve {

absl::StatusOr<ModelHandle> LoadVersion(const std::string& store,
                                        const std::string& spec) {
  const absl::StatusOr<uint64_t> version = FindVersion(store, spec);
  if (!version.ok()) return version.status();
  // The user of the trainer may read what a link names.
  return LoadModel(store, ParseModelName(spec)->name, *version,
                   {.follow_links = true});
}

absl::StatusOr<ModelHandle> LoadModelVersion(const std::string& store,
                                             const std::string& spec) {
  absl::StatusOr<ModelHandle> handle = LoadVersion(store, spec);
  if (!handle.ok() || !(*handle)->is_reranker()) return handle;
  return absl::FailedPreconditionError(
      absl::StrCat("'", spec, "' is a reranker: expected a model"));
}

}  // namespace lmserve
