// SPDX-License-Identifier: Apache-2.0
#include "model_store/durable_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"

namespace lmserve {
namespace {

absl::Status Failed(absl::string_view what) {
  return absl::ErrnoToStatus(errno, what);
}

}  // namespace

absl::Status MakeDirectories(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  return error ? absl::ErrnoToStatus(error.value(), path) : absl::OkStatus();
}

absl::Status WriteFile(const std::string& path, absl::string_view bytes) {
  const int fd =
      open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (fd < 0) return Failed(path);
  absl::Cleanup close_fd = [fd] { close(fd); };
  while (!bytes.empty()) {
    const ssize_t written = write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return Failed(path);
    bytes.remove_prefix(written);
  }
  return fsync(fd) == 0 ? absl::OkStatus() : Failed(path);
}

absl::Status Sync(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return Failed(path);
  absl::Cleanup close_fd = [fd] { close(fd); };
  return fsync(fd) == 0 ? absl::OkStatus() : Failed(path);
}

absl::Status ReplaceFile(const std::string& path, absl::string_view bytes) {
  const std::string written = absl::StrCat(path, ".new");
  unlink(written.c_str());  // a crash may have left it
  absl::Status status = WriteFile(written, bytes);
  if (!status.ok()) return status;
  if (rename(written.c_str(), path.c_str()) != 0) return Failed(path);
  const std::string parent = std::filesystem::path(path).parent_path().string();
  return Sync(parent.empty() ? "." : parent);
}

}  // namespace lmserve
