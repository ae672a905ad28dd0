// SPDX-License-Identifier: Apache-2.0
#include "remote_store/pull_directory.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace lmserve {
namespace {

namespace fs = std::filesystem;

constexpr absl::string_view kPullPrefix = ".pull-";

// Opens a directory and takes its lock. Returns a negative number if it does
// not exist or another process has the lock.
int OpenLocked(const std::string& path, bool* is_locked) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return -1;
  *is_locked = flock(descriptor, LOCK_EX | LOCK_NB) == 0;
  if (*is_locked || errno != EWOULDBLOCK) return descriptor;
  close(descriptor);
  return -1;
}

// Whether a path still leads to an open directory.
bool IsThere(const std::string& path, int descriptor) {
  struct stat by_path, opened;
  return stat(path.c_str(), &by_path) == 0 && fstat(descriptor, &opened) == 0 &&
         by_path.st_ino == opened.st_ino && by_path.st_dev == opened.st_dev;
}

}  // namespace

absl::StatusOr<std::unique_ptr<PullDirectory>> PullDirectory::Make(
    const std::string& parent) {
  // Another process can remove the directory before the lock is taken.
  constexpr int kAttempts = 100;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    std::string path = absl::StrCat(parent, "/", kPullPrefix, "XXXXXX");
    if (mkdtemp(path.data()) == nullptr) {
      return absl::ErrnoToStatus(errno, parent);
    }
    bool is_locked = false;
    const int descriptor = OpenLocked(path, &is_locked);
    if (descriptor < 0) continue;
    auto directory = std::make_unique<PullDirectory>(path, descriptor);
    if (IsThere(path, descriptor)) return directory;
  }
  return absl::UnavailableError(
      absl::StrCat(parent, ": cannot lock a new directory"));
}

PullDirectory::~PullDirectory() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
  close(descriptor_);
}

void RemoveAbandonedPulls(const std::string& parent) {
  std::error_code error;
  std::vector<std::string> paths;
  for (const auto& entry : fs::directory_iterator(parent, error)) {
    if (absl::StartsWith(entry.path().filename().string(), kPullPrefix)) {
      paths.push_back(entry.path().string());
    }
  }
  for (const std::string& path : paths) {
    bool is_locked = false;
    const int descriptor = OpenLocked(path, &is_locked);
    if (is_locked) fs::remove_all(path, error);
    if (descriptor >= 0) close(descriptor);
  }
}

}  // namespace lmserve
