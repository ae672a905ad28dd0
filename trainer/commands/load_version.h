// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_COMMANDS_LOAD_VERSION_H_
#define LMSERVE_TRAINER_COMMANDS_LOAD_VERSION_H_

#include <string>

#include "absl/status/statusor.h"
#include "model_store/loaded_version.h"

namespace lmserve {

// Loads a version, of a model or of a reranker, from a store. `spec` is NAME,
// NAME@VERSION or NAME@ALIAS.
absl::StatusOr<ModelHandle> LoadVersion(const std::string& store,
                                        const std::string& spec);

// Like LoadVersion(), but fails with FAILED_PRECONDITION if the version is a
// reranker.
absl::StatusOr<ModelHandle> LoadModelVersion(const std::string& store,
                                             const std::string& spec);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_COMMANDS_LOAD_VERSION_H_
