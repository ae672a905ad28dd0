// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_REMOTE_STORE_RETRYING_TRANSPORT_H_
#define LMSERVE_REMOTE_STORE_RETRYING_TRANSPORT_H_

#include <chrono>
#include <functional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "remote_store/pause.h"
#include "remote_store/transport.h"

namespace lmserve {

struct RetryOptions {
  int attempts = 5;  // of each operation; at least 1
  // The pause after the first attempt. It doubles after each further one up to
  // the longest, and each is shortened by a random part of up to a half.
  std::chrono::milliseconds first_pause{1'000};
  std::chrono::milliseconds longest_pause{30'000};
  // Called before each pause.
  std::function<void(const absl::Status&)> on_retry = [](const absl::Status&) {
  };
};

// Repeats the operations of another transport that fail with UNAVAILABLE. A
// Read goes on with the byte at which it failed, so the reader gets each byte
// once.
class RetryingTransport : public Transport {
 public:
  // `transport` must live longer.
  RetryingTransport(Transport* transport, RetryOptions options, Pause pause);

  absl::StatusOr<std::vector<RemoteFile>> List(
      const std::string& folder) override;
  absl::Status Read(const std::string& path, uint64_t offset,
                    OnPiece on_piece) override;
  absl::Status Write(const std::string& local,
                     const std::string& path) override;
  absl::Status Delete(const std::string& path) override;

 private:
  absl::Status Try(absl::FunctionRef<absl::Status()> operation);

  Transport& transport_;
  const RetryOptions options_;
  const Pause pause_;
  std::minstd_rand random_;
};

}  // namespace lmserve

#endif  // LMSERVE_REMOTE_STORE_RETRYING_TRANSPORT_H_
