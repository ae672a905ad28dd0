// SPDX-License-Identifier: Apache-2.0
#include "server/log.h"

#include <google/protobuf/stubs/logging.h>
#include <grpc/support/log.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <utility>

#include "absl/strings/match.h"

namespace lmserve {
namespace {

// How long the last lines of a process may take.
constexpr std::chrono::seconds kLastLines(1);

void FlushLog() {
  for (const auto& sink : spdlog::default_logger()->sinks()) {
    if (auto* ours = dynamic_cast<LogSink*>(sink.get())) {
      ours->Flush(kLastLines);
    }
  }
}

// An error of gRPC mostly concerns one connection, so it is a warning here.
void LogGrpc(gpr_log_func_args* args) {
  const auto level = args->severity == GPR_LOG_SEVERITY_ERROR
                         ? spdlog::level::warn
                         : spdlog::level::debug;
  spdlog::log(level, "gRPC: {}", args->message);
  // gRPC ends the process after this message.
  if (absl::StartsWith(args->message, "assertion failed")) FlushLog();
}

// protobuf logs invalid UTF-8 as an error. The client gets that error, so it is
// a debug message here.
void LogProtobuf(google::protobuf::LogLevel /*level*/, const char* /*file*/,
                 int /*line*/, const std::string& message) {
  spdlog::debug("protobuf: {}", message);
}

}  // namespace

Log::Log(LogFormat format, const std::string& level)
    : sink_(std::make_shared<LogSink>(STDERR_FILENO, format)) {
  auto logger = std::make_shared<spdlog::logger>("lm_server", sink_);
  logger->set_level(spdlog::level::from_str(level));
  spdlog::set_default_logger(std::move(logger));
  gpr_set_log_function(LogGrpc);
  google::protobuf::SetLogHandler(LogProtobuf);
}

Log::~Log() { Flush(); }

void Log::Flush() const { sink_->Flush(kLastLines); }

}  // namespace lmserve
