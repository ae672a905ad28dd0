// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODEL_STORE_VERSION_CHECK_H_
#define LMSERVE_MODEL_STORE_VERSION_CHECK_H_

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lm/v1/manifest.pb.h"

namespace lmserve {

// Checks of a version's directory by those who copy or remove versions and do
// not load them. They follow symbolic links. Errors name the file: NOT_FOUND if
// it does not exist, DATA_LOSS if it is not what the manifest says, UNAVAILABLE
// if it cannot be read. Thread-safe.

// Reads manifest.json.
absl::StatusOr<lm::v1::Manifest> ReadManifest(const std::string& directory);

// Checks that the manifest can be read and that its files exist with their
// sizes: whether a version that nobody has damaged is complete.
absl::Status CheckIsComplete(const std::string& directory);

// Checks size and SHA-256 of one file of the manifest. Calls `check` about once
// per MiB, and ends with its error if it fails.
absl::Status CheckFileBytes(const std::string& directory,
                            const lm::v1::ModelFile& expected,
                            const std::function<absl::Status()>& check);

// Checks size and SHA-256 of all files of a version.
absl::Status CheckBytes(const std::string& directory,
                        const std::function<absl::Status()>& check);

}  // namespace lmserve

#endif  // LMSERVE_MODEL_STORE_VERSION_CHECK_H_
