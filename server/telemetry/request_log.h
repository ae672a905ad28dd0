// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_TELEMETRY_REQUEST_LOG_H_
#define LMSERVE_SERVER_TELEMETRY_REQUEST_LOG_H_

#include <atomic>
#include <cstdint>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace lmserve {

struct RequestLogOptions {
  double slow_seconds = 1;    // calls that take longer are logged as warnings
  uint64_t sample_every = 1;  // logs 1 of this many other calls, at debug level
};

// Writes a line to the log when a call ends. Thread-safe.
class RequestLog {
 public:
  explicit RequestLog(const RequestLogOptions& options) : options_(options) {}

  struct EndedCall {
    absl::string_view method;
    // Returns the address of the client, and what identifies the call. Called
    // only if a line is written.
    absl::FunctionRef<std::string()> client;
    const absl::Status& status;
    double seconds;  // from beginning to end; a stream waits for its client too
    double queue_seconds;
    double compute_seconds;
  };

  // Logs INTERNAL and UNKNOWN as errors, and calls whose waiting in the queue
  // and computing took slow_seconds or more as warnings.
  void Write(const EndedCall& call) const;

 private:
  const RequestLogOptions options_;
  mutable std::atomic<uint64_t> calls_ = 0;
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_TELEMETRY_REQUEST_LOG_H_
