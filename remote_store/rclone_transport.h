// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_REMOTE_STORE_RCLONE_TRANSPORT_H_
#define LMSERVE_REMOTE_STORE_RCLONE_TRANSPORT_H_

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "remote_store/pause.h"
#include "remote_store/transport.h"

namespace lmserve {

struct RcloneOptions {
  std::string program = "rclone";
  // Further options of rclone, such as "--s3-no-check-bucket".
  std::vector<std::string> options = {};
  // A transfer is given up if it does not get on for this long.
  std::chrono::milliseconds stall{120'000};
};

// A remote store that rclone reaches: https://rclone.org/overview/ lists what
// it can. One process of rclone per operation, 1.60 or newer. Whoever
// configures rclone decides on credentials, encryption and so on. Error
// messages do not have the address of the store, which may have a key in it.
class RcloneTransport : public Transport {
 public:
  // `remote` is what rclone calls a remote with a path: NAME:BUCKET/PATH.
  RcloneTransport(std::string remote, RcloneOptions options, Pause pause)
      : remote_(std::move(remote)),
        options_(std::move(options)),
        pause_(std::move(pause)) {}

  absl::StatusOr<std::vector<RemoteFile>> List(
      const std::string& folder) override;
  absl::Status Read(const std::string& path, uint64_t offset,
                    OnPiece on_piece) override;
  absl::Status Write(const std::string& local,
                     const std::string& path) override;
  absl::Status Delete(const std::string& path) override;

 private:
  // Runs a command of rclone that concerns a path; NOT_FOUND if rclone says so.
  absl::Status Run(const std::vector<std::string>& arguments,
                   const std::string& path, OnPiece on_output) const;
  std::string Full(const std::string& path) const;

  const std::string remote_;
  const RcloneOptions options_;
  const Pause pause_;
};

}  // namespace lmserve

#endif  // LMSERVE_REMOTE_STORE_RCLONE_TRANSPORT_H_
