// SPDX-License-Identifier: Apache-2.0
#include "model_store/model_directory.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>
#include <thread>

#include "absl/strings/str_cat.h"
#include "model_store/durable_file.h"
#include "model_store/manifest.h"

namespace lmserve {
namespace {

absl::Status CannotChange(absl::string_view path) {
  return absl::ErrnoToStatus(errno, path);
}

}  // namespace

absl::StatusOr<std::unique_ptr<HiddenDirectory>> HiddenDirectory::Make(
    const std::string& parent) {
  std::string path = absl::StrCat(parent, "/.publish-XXXXXX");
  if (mkdtemp(path.data()) == nullptr) return CannotChange(parent);
  if (chmod(path.c_str(), 0755) != 0) return CannotChange(path);
  return std::make_unique<HiddenDirectory>(std::move(path));
}

HiddenDirectory::~HiddenDirectory() {
  std::error_code ignored;
  if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
}

absl::StatusOr<bool> HiddenDirectory::RenameTo(const std::string& path) {
  if (rename(path_.c_str(), path.c_str()) == 0) {
    path_.clear();
    return true;
  }
  if (errno == EEXIST || errno == ENOTEMPTY || errno == ENOTDIR) return false;
  return CannotChange(path);
}

absl::StatusOr<std::unique_ptr<DirectoryLock>> DirectoryLock::Take(
    const std::string& store, absl::string_view name,
    std::chrono::milliseconds wait) {
  constexpr std::chrono::milliseconds kPause(10);
  const auto end = std::chrono::steady_clock::now() + wait;
  const int descriptor = open(absl::StrCat(store, "/", name).c_str(),
                              O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  auto lock = std::make_unique<DirectoryLock>(descriptor);
  while (descriptor >= 0 && flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EINTR) continue;
    if (errno != EWOULDBLOCK) break;
    if (std::chrono::steady_clock::now() >= end) {
      return absl::UnavailableError(
          absl::StrCat("model '", name,
                       "': another process holds the lock of its directory"));
    }
    std::this_thread::sleep_for(kPause);
  }
  return lock;
}

DirectoryLock::~DirectoryLock() {
  if (descriptor_ >= 0) close(descriptor_);
}

absl::Status WriteAliases(const std::string& store, absl::string_view name,
                          const std::map<std::string, uint64_t>& aliases) {
  lm::v1::Aliases message;
  message.mutable_versions()->insert(aliases.begin(), aliases.end());
  const std::string parent = absl::StrCat(store, "/", name);
  absl::StatusOr<std::unique_ptr<HiddenDirectory>> directory =
      HiddenDirectory::Make(parent);
  if (!directory.ok()) return directory.status();
  const std::string written =
      absl::StrCat((*directory)->path(), "/", kAliasesFile);
  absl::Status status = WriteFile(written, ToJson(message));
  if (!status.ok()) return status;
  const std::string path = absl::StrCat(parent, "/", kAliasesFile);
  if (rename(written.c_str(), path.c_str()) != 0) return CannotChange(path);
  return Sync(parent);
}

}  // namespace lmserve
