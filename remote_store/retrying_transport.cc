// SPDX-License-Identifier: Apache-2.0
#include "remote_store/retrying_transport.h"

#include <algorithm>

namespace lmserve {

RetryingTransport::RetryingTransport(Transport* transport, RetryOptions options,
                                     Pause pause)
    : transport_(*transport),
      options_(std::move(options)),
      pause_(std::move(pause)),
      random_(std::random_device()()) {}

absl::Status RetryingTransport::Try(
    absl::FunctionRef<absl::Status()> operation) {
  std::chrono::milliseconds pause = options_.first_pause;
  for (int attempt = 1;; ++attempt) {
    absl::Status status = operation();
    if (!absl::IsUnavailable(status) || attempt >= options_.attempts) {
      return status;
    }
    options_.on_retry(status);
    // Several that have failed together must not come back together.
    std::uniform_int_distribution<int64_t> shorter(0, pause.count() / 2);
    absl::Status waited =
        pause_(pause - std::chrono::milliseconds(shorter(random_)));
    if (!waited.ok()) return waited;
    pause = std::min(2 * pause, options_.longest_pause);
  }
}

absl::StatusOr<std::vector<RemoteFile>> RetryingTransport::List(
    const std::string& folder) {
  absl::StatusOr<std::vector<RemoteFile>> files;
  absl::Status status = Try([&] {
    files = transport_.List(folder);
    return files.status();
  });
  if (!status.ok()) return status;
  return files;
}

absl::Status RetryingTransport::Read(const std::string& path, uint64_t offset,
                                     OnPiece on_piece) {
  return Try([&] {
    return transport_.Read(path, offset, [&](absl::string_view piece) {
      offset += piece.size();
      return on_piece(piece);
    });
  });
}

absl::Status RetryingTransport::Write(const std::string& local,
                                      const std::string& path) {
  return Try([&] { return transport_.Write(local, path); });
}

absl::Status RetryingTransport::Delete(const std::string& path) {
  return Try([&] { return transport_.Delete(path); });
}

}  // namespace lmserve
