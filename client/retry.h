// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_CLIENT_RETRY_H_
#define LMSERVE_CLIENT_RETRY_H_

#include <chrono>
#include <functional>

#include "absl/status/status.h"

namespace lmserve {

// The attempts of one call. A call is tried again while the server is
// UNAVAILABLE, with pauses of 0.1 s, 0.2 s and so on up to 2 s, which vary by a
// fifth so that clients do not return all at once; and after the delay that a
// busy server asks for (RESOURCE_EXHAUSTED with a RetryInfo). For one thread at
// a time.
class Retry {
 public:
  using Clock = std::chrono::steady_clock;

  struct Options {
    int attempts;  // 0: as many as the time allows
    // No attempt begins later. Calls without a limit have max().
    Clock::time_point deadline;
    // Called before each pause with the error; may be null.
    std::function<void(const absl::Status&)> on_retry;
    // Waits until the next attempt begins.
    std::function<void(Clock::time_point)> wait_until;
  };

  explicit Retry(Options options) : options_(std::move(options)) {}

  // Decides what follows after an attempt has failed: waits and returns OK if
  // the call is to be tried again, and otherwise returns the error for the
  // caller. That is the error of the attempt or, if its time ran out, the
  // previous one, which says more.
  absl::Status Next(const absl::Status& error);

 private:
  absl::Status Final(const absl::Status& error) const;

  const Options options_;
  int attempts_ = 0;
  absl::Status last_;  // the last error after which the call was tried again
};

}  // namespace lmserve

#endif  // LMSERVE_CLIENT_RETRY_H_
