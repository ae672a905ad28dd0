// SPDX-License-Identifier: Apache-2.0
#include "server/telemetry/log_sink.h"

#include <spdlog/pattern_formatter.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "models/printable_text.h"

namespace lmserve {
namespace {

// The name of messages that are the members of a JSON object, not text.
constexpr char kFieldsName[] = "fields";

// Formats the message for a log of text, or as members of a JSON object.
class Message final : public spdlog::custom_flag_formatter {
 public:
  explicit Message(LogFormat format) : format_(format) {}

  void format(const spdlog::details::log_msg& message, const std::tm& /*time*/,
              spdlog::memory_buf_t& out) override {
    const absl::string_view payload(message.payload.data(),
                                    message.payload.size());
    const std::string text =
        message.logger_name == kFieldsName
            ? std::string(payload)
            : Formatted(Printable(payload, LogSink::kMaxMessageBytes));
    out.append(text.data(), text.data() + text.size());
  }

  std::unique_ptr<custom_flag_formatter> clone() const override {
    return std::make_unique<Message>(format_);
  }

 private:
  std::string Formatted(const std::string& text) const {
    if (format_ == LogFormat::kText) return text;
    return absl::StrCat("\"message\":", nlohmann::json(text).dump());
  }

  const LogFormat format_;
};

}  // namespace

void LogFields(spdlog::level::level_enum level,
               const nlohmann::ordered_json& fields) {
  const std::shared_ptr<spdlog::logger> logger = spdlog::default_logger();
  if (!logger->should_log(level)) return;
  const std::string object = fields.dump();
  const absl::string_view members =
      absl::string_view(object).substr(1, object.size() - 2);
  const spdlog::details::log_msg message(kFieldsName, level,
                                         {members.data(), members.size()});
  for (const auto& sink : logger->sinks()) sink->log(message);
}

LogSink::LogSink(int descriptor, LogFormat format, size_t max_waiting_bytes)
    : writer_(descriptor, max_waiting_bytes) {
  auto formatter = std::make_unique<spdlog::pattern_formatter>();
  formatter->add_flag<Message>('*', format)
      .set_pattern(format == LogFormat::kJson
                       ? R"({"time":"%Y-%m-%dT%H:%M:%S.%e%z","level":"%l",%*})"
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
