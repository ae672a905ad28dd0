#ifndef LMSERVE_MODEL_STORE_DURABLE_FILE_H_
#define LMSERVE_MODEL_STORE_DURABLE_FILE_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace lmserve {

// Writing that survives a crash. Errors name the path. Thread-safe.

// Makes a directory and those above it, where they are not there.
absl::Status MakeDirectories(const std::string& path);

// Writes a new file and syncs it; its directory is the caller's to sync.
absl::Status WriteFile(const std::string& path, absl::string_view bytes);

// Syncs a file or directory.
absl::Status Sync(const std::string& path);

// Puts a file in the place of the one that is there, if any: after a crash
// there is the old one or the new one, whole. One writer at a time.
absl::Status ReplaceFile(const std::string& path, absl::string_view bytes);

}  // namespace lmserve

#endif  // LMSERVE_MODEL_STORE_DURABLE_FILE_H_
