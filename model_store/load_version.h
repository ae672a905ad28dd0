// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODEL_STORE_LOAD_VERSION_H_
#define LMSERVE_MODEL_STORE_LOAD_VERSION_H_

#include <string>

#include "absl/status/statusor.h"
#include "model_store/loaded_version.h"

namespace lmserve {

// For programs that use a version of a store without serving it. They may read
// what symbolic links of the store name.

// Loads a version, of a model or of a reranker, from a store. `spec` is NAME,
// NAME@VERSION or NAME@ALIAS. Fails as FindVersion() and LoadModel() do.
// `map_files`: see LoadOptions. Thread-safe.
absl::StatusOr<ModelHandle> LoadVersion(const std::string& store,
                                        const std::string& spec,
                                        bool map_files = false);

// Like LoadVersion(), but fails with FAILED_PRECONDITION if the version is a
// reranker.
absl::StatusOr<ModelHandle> LoadModelVersion(const std::string& store,
                                             const std::string& spec,
                                             bool map_files = false);

}  // namespace lmserve

#endif  // LMSERVE_MODEL_STORE_LOAD_VERSION_H_
