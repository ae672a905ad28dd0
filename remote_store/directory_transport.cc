// SPDX-License-Identifier: Apache-2.0
#include "remote_store/directory_transport.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "model_store/durable_file.h"
#include "model_store/sha256.h"
#include "model_store/status_context.h"
#include "model_store/stored_file.h"

namespace lmserve {
namespace {

namespace fs = std::filesystem;

// The start of the name of a file that is being written.
constexpr absl::string_view kPartial = ".partial-";

// Writes all bytes to a descriptor.
absl::Status WriteAll(int descriptor, absl::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = write(descriptor, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return absl::ErrnoToStatus(errno, "cannot write");
    bytes.remove_prefix(written);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> Digest(const StoredFile& file) {
  Sha256Stream sha256;
  absl::Status status = file.ReadPieces([&](absl::string_view piece) {
    sha256.Add(piece);
    return absl::OkStatus();
  });
  if (!status.ok()) return status;
  return sha256.Finish();
}

bool HaveEqualBytes(const StoredFile& file, const std::string& path) {
  const absl::StatusOr<StoredFile> other = StoredFile::Open(path);
  if (!other.ok() || other->size() != file.size()) return false;
  const absl::StatusOr<std::string> found = Digest(*other);
  const absl::StatusOr<std::string> expected = Digest(file);
  return found.ok() && expected.ok() && *found == *expected;
}

// The error of a step of writing. A directory that is missing was removed by
// somebody who has deleted its last file: another attempt creates it again.
absl::Status WriteFailed(const std::string& path) {
  if (errno == ENOENT) {
    return absl::UnavailableError(
        absl::StrCat(path, ": its directory was removed"));
  }
  return absl::ErrnoToStatus(errno, path);
}

}  // namespace

absl::StatusOr<std::vector<RemoteFile>> DirectoryTransport::List(
    const std::string& folder) {
  std::vector<RemoteFile> files;
  std::error_code error;
  const std::string start = folder.empty() ? root_ : Full(folder);
  fs::recursive_directory_iterator entry(
      start, fs::directory_options::follow_directory_symlink, error);
  if (error == std::errc::no_such_file_or_directory) return files;
  // Entries that others remove meanwhile are not there.
  for (const auto end = fs::recursive_directory_iterator();
       !error && entry != end; entry.increment(error)) {
    std::error_code gone;
    if (!entry->is_regular_file(gone)) continue;
    const uint64_t size = entry->file_size(gone);
    std::string path = entry->path().lexically_relative(root_).string();
    const bool is_partial =
        absl::StartsWith(entry->path().filename().string(), kPartial);
    if (!gone && !is_partial) files.push_back({std::move(path), size});
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    return absl::ErrnoToStatus(error.value(), start);
  }
  std::sort(
      files.begin(), files.end(),
      [](const RemoteFile& a, const RemoteFile& b) { return a.path < b.path; });
  return files;
}

absl::Status DirectoryTransport::Read(const std::string& path, uint64_t offset,
                                      OnPiece on_piece) {
  const absl::StatusOr<StoredFile> file = StoredFile::Open(Full(path));
  if (!file.ok()) return WithContext(path, file.status());
  absl::Status refused;
  uint64_t position = 0;
  const absl::Status status = file->ReadPieces([&](absl::string_view piece) {
    const uint64_t skipped =
        std::min<uint64_t>(piece.size(), offset - std::min(offset, position));
    position += piece.size();
    piece.remove_prefix(skipped);
    if (!piece.empty()) refused = on_piece(piece);
    return refused;
  });
  if (!refused.ok()) return refused;
  return status.ok() ? status : WithContext(path, status);
}

absl::Status DirectoryTransport::Write(const std::string& local,
                                       const std::string& path) {
  const absl::StatusOr<StoredFile> file = StoredFile::Open(local);
  if (!file.ok()) return WithContext(local, file.status());
  const std::string to = Full(path);
  if (HaveEqualBytes(*file, to)) return absl::OkStatus();
  const std::string parent = fs::path(to).parent_path().string();
  absl::Status status = MakeDirectories(parent);
  if (!status.ok()) return status;
  std::string partial = absl::StrCat(parent, "/", kPartial, "XXXXXX");
  const int descriptor = mkstemp(partial.data());
  if (descriptor < 0) return WriteFailed(path);
  absl::Cleanup remove = [&] { unlink(partial.c_str()); };
  status = file->ReadPieces([descriptor](absl::string_view piece) {
    return WriteAll(descriptor, piece);
  });
  if (status.ok() &&
      (fchmod(descriptor, 0644) != 0 || fsync(descriptor) != 0)) {
    status = absl::ErrnoToStatus(errno, "cannot write");
  }
  close(descriptor);
  if (!status.ok()) return WithContext(path, status);
  if (rename(partial.c_str(), to.c_str()) != 0) return WriteFailed(path);
  std::move(remove).Cancel();
  return Sync(parent);
}

absl::Status DirectoryTransport::Delete(const std::string& path) {
  if (unlink(Full(path).c_str()) != 0 && errno != ENOENT) {
    return absl::ErrnoToStatus(errno, path);
  }
  // rmdir(2) leaves directories that are not empty.
  for (fs::path parent = fs::path(path).parent_path();
       !parent.empty() && rmdir(Full(parent.string()).c_str()) == 0;
       parent = parent.parent_path()) {
  }
  return absl::OkStatus();
}

}  // namespace lmserve
