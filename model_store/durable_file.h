// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODEL_STORE_DURABLE_FILE_H_
#define LMSERVE_MODEL_STORE_DURABLE_FILE_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace lmserve {

// Functions that write files so that they survive a crash. Errors name the
// path. Thread-safe.

// Creates a directory and its parents if they do not exist.
absl::Status MakeDirectories(const std::string& path);

// Creates a file and syncs it. Fails if the file exists. The caller must sync
// the directory.
absl::Status WriteFile(const std::string& path, absl::string_view bytes);

// Syncs a file or directory.
absl::Status Sync(const std::string& path);

// Replaces a file, or creates it. After a crash the file has either its
// complete old content or its complete new content. Two writers must not
// replace the same file at the same time.
absl::Status ReplaceFile(const std::string& path, absl::string_view bytes);

}  // namespace lmserve

#endif  // LMSERVE_MODEL_STORE_DURABLE_FILE_H_
