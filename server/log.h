// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_LOG_H_
#define LMSERVE_SERVER_LOG_H_

#include <cstdint>
#include <memory>
#include <string>

#include "server/telemetry/log_sink.h"

namespace lmserve {

// The log of the process: makes spdlog's default logger, and the messages of
// gRPC and protobuf, write to the standard error as LogSink describes. A
// process has one, made before other threads log. The log can be used after its
// end.
class Log {
 public:
  // `level` is debug, info, warning or error.
  Log(LogFormat format, const std::string& level);

  // Waits up to a second until all lines are written.
  ~Log();
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  // Waits up to a second until all lines are written.
  void Flush() const;

  // How many lines were dropped so far, because the standard error did not take
  // them. Thread-safe.
  uint64_t dropped() const { return sink_->dropped(); }

 private:
  const std::shared_ptr<LogSink> sink_;
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_LOG_H_
