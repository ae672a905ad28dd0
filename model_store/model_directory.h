// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODEL_STORE_MODEL_DIRECTORY_H_
#define LMSERVE_MODEL_STORE_MODEL_DIRECTORY_H_

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace lmserve {

// What all writers of a model's directory use; see FORMAT.md. Errors name the
// path.

// A new hidden directory in a model's directory. The destructor removes it
// unless it was renamed. Not thread-safe.
class HiddenDirectory {
 public:
  static absl::StatusOr<std::unique_ptr<HiddenDirectory>> Make(
      const std::string& parent);

  explicit HiddenDirectory(std::string path) : path_(std::move(path)) {}
  HiddenDirectory(const HiddenDirectory&) = delete;
  HiddenDirectory& operator=(const HiddenDirectory&) = delete;
  ~HiddenDirectory();

  const std::string& path() const { return path_; }

  // Returns false if the name is in use.
  absl::StatusOr<bool> RenameTo(const std::string& path);

 private:
  std::string path_;
};

// An exclusive lock on a model's directory, against threads and other
// processes, until the destructor. Has no effect on file systems without locks,
// and if the directory cannot be opened.
class DirectoryLock {
 public:
  // Waits for the lock. UNAVAILABLE, naming the model, if it cannot be had
  // within `wait`: everyone who can read the directory can hold it.
  static absl::StatusOr<std::unique_ptr<DirectoryLock>> Take(
      const std::string& store, absl::string_view name,
      std::chrono::milliseconds wait);

  // Owns the descriptor, which may be negative: no file.
  explicit DirectoryLock(int descriptor) : descriptor_(descriptor) {}
  DirectoryLock(const DirectoryLock&) = delete;
  DirectoryLock& operator=(const DirectoryLock&) = delete;
  ~DirectoryLock();

 private:
  const int descriptor_;
};

// Writes aliases.json into a hidden directory and renames it over the old file.
// REQUIRES: the caller holds the lock.
absl::Status WriteAliases(const std::string& store, absl::string_view name,
                          const std::map<std::string, uint64_t>& aliases);

}  // namespace lmserve

#endif  // LMSERVE_MODEL_STORE_MODEL_DIRECTORY_H_
