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
  double slow_seconds = 1;    // calls that work longer are told as warnings
  uint64_t sample_every = 1;  // of the others one in so many, at debug level
};

// The lines of the log about calls that have ended. Any number of threads may
// use one.
class RequestLog {
 public:
  explicit RequestLog(const RequestLogOptions& options) : options_(options) {}

  struct Call {
    absl::string_view method;
    absl::FunctionRef<std::string()> client;  // asked where a line is written
    const absl::Status& status;
    double seconds;  // in all; of a stream the client's part is in it
    double queue_seconds;
    double compute_seconds;
  };

  // Internal errors are told as errors; what is slow is what waits and computes
  // for long.
  void Write(const Call& call) const;

 private:
  const RequestLogOptions options_;
  mutable std::atomic<uint64_t> calls_ = 0;
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_TELEMETRY_REQUEST_LOG_H_
