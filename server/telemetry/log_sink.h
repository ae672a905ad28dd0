// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_TELEMETRY_LOG_SINK_H_
#define LMSERVE_SERVER_TELEMETRY_LOG_SINK_H_

#include <spdlog/common.h>
#include <spdlog/sinks/base_sink.h>

#include <chrono>
#include <cstdint>
#include <mutex>
#include <nlohmann/json.hpp>

#include "server/telemetry/line_writer.h"

namespace lmserve {

// The formats of the log: text, or one JSON object per line with time, level,
// message and, for some messages, more fields.
enum class LogFormat { kText, kJson };

// Writes a line with these fields, which include "message", to the sinks of the
// default logger, whose format must be kJson. The strings must be Printable().
void LogFields(spdlog::level::level_enum level,
               const nlohmann::ordered_json& fields);

// A sink of spdlog that writes one line per message to a descriptor and never
// waits for it: see LineWriter. Messages are made Printable(), so bytes of
// others cannot add a line, control a terminal or make a line that is not
// UTF-8; of messages longer than kMaxMessageBytes the middle is left out. When
// lines were dropped and there is room again, a line says how many.
class LogSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  static constexpr size_t kMaxMessageBytes = 8 << 10;

  // Lines beyond `max_waiting_bytes` that wait to be written are dropped. The
  // descriptor must stay open.
  LogSink(int descriptor, LogFormat format,
          size_t max_waiting_bytes = kMaxWaitingBytes);

  // How many lines were dropped so far. Thread-safe.
  uint64_t dropped() const { return writer_.dropped(); }

  // Waits until all lines are written, at most `limit`. Returns whether they
  // are. Thread-safe.
  bool Flush(std::chrono::milliseconds limit) { return writer_.Flush(limit); }

 private:
  static constexpr size_t kMaxWaitingBytes = 1 << 20;

  void sink_it_(const spdlog::details::log_msg& message) override;
  void flush_() override {}
  bool Write(const spdlog::details::log_msg& message);

  LineWriter writer_;
  uint64_t reported_ = 0;  // dropped lines of which the log says something
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_TELEMETRY_LOG_SINK_H_
