// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_TELEMETRY_REQUEST_LOG_H_
#define LMSERVE_SERVER_TELEMETRY_REQUEST_LOG_H_

#include <atomic>
#include <cstdint>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "server/telemetry/log_sink.h"

namespace lmserve {

struct RequestLogOptions {
  LogFormat format = LogFormat::kText;
  double slow_seconds = 1;    // calls that take longer are logged as warnings
  uint64_t sample_every = 1;  // logs 1 of this many other calls, at debug level
};

// Writes a line to the log when a call ends. Thread-safe.
class RequestLog {
 public:
  explicit RequestLog(const RequestLogOptions& options) : options_(options) {}

  // Who calls, and what identifies the call. Empty: not known.
  struct Caller {
    std::string address;
    std::string token;  // its name in the file of tokens
    std::string request_id;
    std::string trace_parent;
    std::string trace_id;  // of a call that is traced, and its span
    std::string span_id;
  };

  struct EndedCall {
    absl::string_view method;
    bool is_admin;  // requires the role admin, and so is always logged
    absl::string_view model;  // printable; empty: not known
    uint64_t version;         // 0: not known
    // Called only if a line is written.
    absl::FunctionRef<Caller()> caller;
    const absl::Status& status;
    double seconds;  // from beginning to end; a stream waits for its client too
    double queue_seconds;
    double compute_seconds;
  };

  // Logs INTERNAL and UNKNOWN as errors, calls whose waiting in the queue and
  // computing took slow_seconds or more as warnings, and calls of
  // administrators at level info. In JSON each part has a field of its own.
  void Write(const EndedCall& call) const;

 private:
  bool IsSampled() const;

  const RequestLogOptions options_;
  mutable std::atomic<uint64_t> calls_ = 0;
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_TELEMETRY_REQUEST_LOG_H_
