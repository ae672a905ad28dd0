// SPDX-License-Identifier: Apache-2.0
#include "model_store/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"

namespace lmserve {

absl::StatusOr<MappedFile> MappedFile::Open(const std::string& path) {
  const int fd =
      open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0 && errno == ELOOP) {
    return absl::DataLossError(
        "expected a regular file, found a symbolic link");
  }
  if (fd < 0) return absl::ErrnoToStatus(errno, "cannot open the file");
  absl::Cleanup close_fd = [fd] { close(fd); };
  struct stat info;
  if (fstat(fd, &info) != 0) {
    return absl::ErrnoToStatus(errno, "cannot read the file attributes");
  }
  if (!S_ISREG(info.st_mode)) {
    return absl::DataLossError("expected a regular file, found something else");
  }
  if (info.st_size == 0) return MappedFile(nullptr, 0);
  // Without MAP_POPULATE, which cannot be interrupted. The caller maps every
  // page anyway when it verifies the file.
  void* data = mmap(nullptr, info.st_size, PROT_READ, MAP_SHARED, fd, 0);
  if (data == MAP_FAILED) {
    return absl::ErrnoToStatus(errno, "cannot map the file");
  }
  return MappedFile(static_cast<const char*>(data), info.st_size);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) munmap(const_cast<char*>(data_), size_);
}

}  // namespace lmserve
