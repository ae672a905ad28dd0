// SPDX-License-Identifier: Apache-2.0
#include "server/telemetry/log_sink.h"

#include <spdlog/pattern_formatter.h>

#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "models/printable_text.h"

namespace lmserve {
namespace {

// Formats the message for a log of text, or as the contents of a JSON string.
class Message final : public spdlog::custom_flag_formatter {
 public:
  explicit Message(LogFormat format) : format_(format) {}

  void format(const spdlog::details::log_msg& message, const std::tm& /*time*/,
              spdlog::memory_buf_t& out) override {
    const std::string text =
        Printable({message.payload.data(), message.payload.size()},
                  LogSink::kMaxMessageBytes);
    for (char c : text) {
      if (format_ == LogFormat::kJson && (c == '"' || c == '\\')) {
        out.push_back('\\');
      }
      out.push_back(c);
    }
  }

  std::unique_ptr<custom_flag_formatter> clone() const override {
    return std::make_unique<Message>(format_);
  }

 private:
  const LogFormat format_;
};

}  // namespace

LogSink::LogSink(int descriptor, LogFormat format, size_t max_waiting_bytes)
    : writer_(descriptor, max_waiting_bytes) {
  auto formatter = std::make_unique<spdlog::pattern_formatter>();
  formatter->add_flag<Message>('*', format)
      .set_pattern(
          format == LogFormat::kJson
              ? R"({"time":"%Y-%m-%dT%H:%M:%S.%e%z","level":"%l","message":"%*"})"
              : "[%Y-%m-%d %H:%M:%S.%e] [%n] [%l] %*");
  set_formatter(std::move(formatter));
}

void LogSink::sink_it_(const spdlog::details::log_msg& message) {
  const uint64_t dropped = writer_.dropped();
  if (dropped > reported_ && writer_.is_half_empty()) {
    const std::string text = absl::StrCat(
        "dropped ", dropped - reported_,
        " log lines, because the reader of the log was too slow or gone");
    spdlog::details::log_msg report(message.logger_name, spdlog::level::warn,
                                    text);
    if (Write(report)) reported_ = dropped;
  }
  Write(message);
}

bool LogSink::Write(const spdlog::details::log_msg& message) {
  spdlog::memory_buf_t line;
  formatter_->format(message, line);
  return writer_.Write(std::string(line.data(), line.size()));
}

}  // namespace lmserve
