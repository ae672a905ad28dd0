// SPDX-License-Identifier: Apache-2.0
#include "model_store/load_version.h"

#include "absl/strings/str_cat.h"
#include "model_store/model_name.h"
#include "model_store/publish.h"

namespace lmserve {

absl::StatusOr<ModelHandle> LoadVersion(const std::string& store,
                                        const std::string& spec,
                                        bool map_files) {
  const absl::StatusOr<uint64_t> version = FindVersion(store, spec);
  if (!version.ok()) return version.status();
  absl::StatusOr<ModelHandle> handle =
      LoadModel(store, ParseModelName(spec)->name, *version,
                {.follow_links = true, .map_files = map_files});
  if (!IsIncomplete(handle.status())) return handle;
  // Without the payload, which status.ToString() would show.
  return absl::Status(handle.status().code(), handle.status().message());
}

absl::StatusOr<ModelHandle> LoadModelVersion(const std::string& store,
                                             const std::string& spec,
                                             bool map_files) {
  absl::StatusOr<ModelHandle> handle = LoadVersion(store, spec, map_files);
  if (!handle.ok() || !(*handle)->is_reranker()) return handle;
  return absl::FailedPreconditionError(
      absl::StrCat("'", spec, "' is a reranker: expected a model"));
}

}  // namespace lmserve
