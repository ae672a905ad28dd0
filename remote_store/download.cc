// SPDX-License-Identifier: Apache-2.0
#include "remote_store/download.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "model_store/sha256.h"

namespace lmserve {
namespace {

absl::Status Differs(const std::string& path, absl::string_view field,
                     absl::string_view expected, absl::string_view found) {
  return absl::DataLossError(absl::StrCat(path, ": ", field, ": expected ",
                                          expected, ", found ", found));
}

absl::Status DownloadOnce(Transport& transport, const std::string& path,
                          const lm::v1::ModelFile& expected,
                          const std::string& local) {
  const int descriptor =
      open(local.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (descriptor < 0) return absl::ErrnoToStatus(errno, local);
  const absl::Cleanup close_file = [descriptor] { close(descriptor); };
  absl::Status status =
      ReadChecked(transport, path, expected, [&](absl::string_view piece) {
        while (!piece.empty()) {
          const ssize_t written = write(descriptor, piece.data(), piece.size());
          if (written < 0 && errno == EINTR) continue;
          if (written < 0) return absl::ErrnoToStatus(errno, local);
          piece.remove_prefix(written);
        }
        return absl::OkStatus();
      });
  if (!status.ok()) return status;
  return fsync(descriptor) == 0 ? absl::OkStatus()
                                : absl::ErrnoToStatus(errno, local);
}

}  // namespace

absl::Status ReadChecked(Transport& transport, const std::string& path,
                         const lm::v1::ModelFile& expected,
                         Transport::OnPiece on_piece) {
  uint64_t size = 0;
  Sha256Stream sha256;
  absl::Status status =
      transport.Read(path, 0, [&](absl::string_view piece) -> absl::Status {
        size += piece.size();
        if (size > expected.size()) {
          return Differs(path, "size", absl::StrCat(expected.size(), " bytes"),
                         "more");
        }
        sha256.Add(piece);
        return on_piece(piece);
      });
  if (!status.ok()) return status;
  if (size != expected.size()) {
    return Differs(path, "size", absl::StrCat(expected.size(), " bytes"),
                   absl::StrCat(size));
  }
  const std::string found = sha256.Finish();
  if (found == expected.sha256()) return absl::OkStatus();
  return Differs(path, "SHA-256", expected.sha256(), found);
}

absl::Status Download(Transport& transport, const std::string& path,
                      const lm::v1::ModelFile& expected,
                      const std::string& local, int attempts,
                      const Pause& pause) {
  constexpr std::chrono::milliseconds kPause(500);
  for (int attempt = 1;; ++attempt) {
    absl::Status status = DownloadOnce(transport, path, expected, local);
    if (status.ok()) return status;
    unlink(local.c_str());
    // Bytes can be lost on the way.
    if (!absl::IsDataLoss(status) || attempt >= attempts) return status;
    absl::Status waited = pause(kPause);
    if (!waited.ok()) return waited;
  }
}

}  // namespace lmserve
