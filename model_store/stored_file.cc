// SPDX-License-Identifier: Apache-2.0
#include "model_store/stored_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace lmserve {
namespace {

constexpr size_t kPiece = 1 << 20;

// Returns the path of an open file without links; empty if the system does not
// tell it.
std::string RealPath(int descriptor) {
  std::error_code ignored;
  return std::filesystem::read_symlink(
             absl::StrCat("/proc/self/fd/", descriptor), ignored)
      .string();
}

bool IsBelow(const std::string& path, const std::string& directory) {
  std::error_code error;
  std::string real = std::filesystem::canonical(directory, error).string();
  if (error) return false;
  if (!absl::EndsWith(real, "/")) real += "/";
  return absl::StartsWith(path, real);
}

// Checks the file that was opened, not its path, which could change meanwhile.
absl::Status CheckLink(int descriptor, const LinkPolicy& links) {
  const std::string path = RealPath(descriptor);
  for (const std::string& directory : links.directories) {
    if (IsBelow(path, directory)) return absl::OkStatus();
  }
  return absl::DataLossError(
      "expected a file in the store, found a symbolic link that leads out of "
      "it");
}

// Opens a path without waiting. Sets *is_link if its last part is a link.
absl::StatusOr<int> OpenPath(const std::string& path, bool* is_link) {
  constexpr int kFlags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
  int descriptor = open(path.c_str(), kFlags | O_NOFOLLOW);
  *is_link = descriptor < 0 && errno == ELOOP;
  if (*is_link) descriptor = open(path.c_str(), kFlags);
  if (descriptor < 0 && *is_link) {
    return absl::DataLossError(absl::StrCat("cannot follow the symbolic link: ",
                                            std::strerror(errno)));
  }
  if (descriptor < 0) return absl::ErrnoToStatus(errno, "cannot open the file");
  return descriptor;
}

absl::Status ReadFailed(int error, uint64_t offset) {
  return absl::UnavailableError(absl::StrCat(
      "cannot read the file at byte ", offset, ": ", std::strerror(error)));
}

// Reads up to `size` bytes at an offset; less only at the end of the file.
absl::StatusOr<size_t> ReadAt(int descriptor, uint64_t offset, char* to,
                              size_t size) {
  size_t done = 0;
  while (done < size) {
    const ssize_t got =
        pread(descriptor, to + done, size - done, offset + done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ReadFailed(errno, offset + done);
    if (got == 0) break;
    done += got;
  }
  return done;
}

absl::Status WrongSize(uint64_t expected, absl::string_view found) {
  return absl::DataLossError(
      absl::StrCat("size: expected ", expected, " bytes, found ", found,
                   ": the file changed while it was read"));
}

}  // namespace

absl::StatusOr<StoredFile> StoredFile::Open(const std::string& path,
                                            const LinkPolicy& links) {
  bool is_link = false;
  const absl::StatusOr<int> descriptor = OpenPath(path, &is_link);
  if (!descriptor.ok()) return descriptor.status();
  StoredFile file(*descriptor, 0);
  struct stat info;
  if (fstat(*descriptor, &info) != 0) {
    return absl::ErrnoToStatus(errno, "cannot read the file attributes");
  }
  if (!S_ISREG(info.st_mode)) {
    return absl::DataLossError("expected a regular file, found something else");
  }
  if (is_link && !links.follow_all) {
    absl::Status status = CheckLink(*descriptor, links);
    if (!status.ok()) return status;
  }
  file.size_ = info.st_size;
  return file;
}

StoredFile::StoredFile(StoredFile&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)), size_(other.size_) {}

StoredFile::~StoredFile() {
  if (descriptor_ >= 0) close(descriptor_);
}

absl::Status StoredFile::ReadTo(
    absl::FunctionRef<char*(uint64_t offset)> place,
    absl::FunctionRef<absl::Status(absl::string_view)> on_piece) const {
  posix_fadvise(descriptor_, 0, 0, POSIX_FADV_SEQUENTIAL);
  for (uint64_t offset = 0; offset < size_;) {
    char* const to = place(offset);
    const size_t size = std::min<uint64_t>(kPiece, size_ - offset);
    const absl::StatusOr<size_t> got = ReadAt(descriptor_, offset, to, size);
    if (!got.ok()) return got.status();
    if (*got < size) return WrongSize(size_, absl::StrCat(offset + *got));
    offset += size;
    absl::Status status = on_piece({to, size});
    if (!status.ok()) return status;
  }
  char more;
  const absl::StatusOr<size_t> got = ReadAt(descriptor_, size_, &more, 1);
  if (!got.ok()) return got.status();
  return *got > 0 ? WrongSize(size_, "more") : absl::OkStatus();
}

absl::StatusOr<PrivateMemory> StoredFile::Read(
    absl::FunctionRef<absl::Status(absl::string_view)> on_piece) const {
  absl::Status status = on_piece({});
  if (!status.ok()) return status;
  absl::StatusOr<PrivateMemory> memory = PrivateMemory::Allocate(size_);
  if (!memory.ok()) return memory;
  char* const begin = memory->writable().data();
  status =
      ReadTo([begin](uint64_t offset) { return begin + offset; }, on_piece);
  if (!status.ok()) return status;
  memory->Seal();
  return memory;
}

absl::StatusOr<MappedFile> StoredFile::Map(
    absl::FunctionRef<absl::Status(absl::string_view)> on_piece) const {
  absl::StatusOr<MappedFile> file =
      MappedFile::OfDescriptor(descriptor_, size_);
  if (!file.ok()) return absl::UnavailableError(file.status().message());
  absl::Status status = on_piece({});
  for (size_t offset = 0; status.ok() && offset < size_; offset += kPiece) {
    status = on_piece(file->bytes().substr(offset, kPiece));
  }
  if (!status.ok()) return status;
  return file;
}

absl::Status StoredFile::ReadPieces(
    absl::FunctionRef<absl::Status(absl::string_view)> on_piece) const {
  absl::Status status = on_piece({});
  if (!status.ok()) return status;
  std::vector<char> piece(std::min<uint64_t>(kPiece, size_));
  return ReadTo([&piece](uint64_t) { return piece.data(); }, on_piece);
}

absl::StatusOr<PrivateMemory> ReadStoredFile(const std::string& path,
                                             uint64_t max_size,
                                             const LinkPolicy& links) {
  const absl::StatusOr<StoredFile> file = StoredFile::Open(path, links);
  if (!file.ok()) return file.status();
  if (file->size() > max_size) {
    return absl::DataLossError(absl::StrCat("size: expected at most ", max_size,
                                            " bytes, found ", file->size()));
  }
  return file->Read([](absl::string_view) { return absl::OkStatus(); });
}

}  // namespace lmserve
