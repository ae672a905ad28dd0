// SPDX-License-Identifier: Apache-2.0
#include "server/telemetry/request_log.h"

#include <spdlog/spdlog.h>

#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "model_store/model_name.h"
#include "models/printable_text.h"

namespace lmserve {
namespace {

constexpr double kMilliseconds = 1e3;

spdlog::level::level_enum LevelOf(const RequestLog::EndedCall& call,
                                  double slow_seconds) {
  if (absl::IsInternal(call.status) || absl::IsUnknown(call.status)) {
    return spdlog::level::err;
  }
  if (call.queue_seconds + call.compute_seconds >= slow_seconds) {
    return spdlog::level::warn;
  }
  return call.is_admin ? spdlog::level::info : spdlog::level::debug;
}

// Returns "ADDRESS (token NAME, x-request-id ID, trace ID)".
std::string Describe(const RequestLog::Caller& caller) {
  std::vector<std::string> names;
  for (const auto& [name, value] : {std::pair{"token", &caller.token},
                                    {"x-request-id", &caller.request_id},
                                    {"traceparent", &caller.trace_parent},
                                    {"trace", &caller.trace_id},
                                    {"span", &caller.span_id}}) {
    if (!value->empty()) names.push_back(absl::StrCat(name, " ", *value));
  }
  if (names.empty()) return caller.address;
  return absl::StrCat(caller.address, " (", absl::StrJoin(names, ", "), ")");
}

// Returns " of NAME@VERSION", " of NAME" or nothing.
std::string OfModel(const RequestLog::EndedCall& call) {
  if (call.model.empty()) return "";
  return absl::StrCat(" of ", call.version == 0
                                  ? std::string(call.model)
                                  : VersionName(call.model, call.version));
}

std::string Message(const RequestLog::EndedCall& call,
                    const RequestLog::Caller& caller) {
  return absl::StrFormat(
      "%s%s from %s: %s in %.3f ms, queued %.3f ms, computed %.3f ms%s%s",
      call.method, OfModel(call), Describe(caller),
      absl::StatusCodeToString(call.status.code()),
      call.seconds * kMilliseconds, call.queue_seconds * kMilliseconds,
      call.compute_seconds * kMilliseconds, call.status.ok() ? "" : ": ",
      call.status.message());
}

nlohmann::ordered_json Fields(const RequestLog::EndedCall& call,
                              const RequestLog::Caller& caller) {
  nlohmann::ordered_json fields = {
      {"message", Printable(Message(call, caller), LogSink::kMaxMessageBytes)},
      {"method", std::string(call.method)},
      {"code", absl::StatusCodeToString(call.status.code())},
      {"seconds", call.seconds},
      {"queue_seconds", call.queue_seconds},
      {"compute_seconds", call.compute_seconds}};
  if (!call.model.empty()) fields["model"] = std::string(call.model);
  if (call.version != 0) fields["version"] = call.version;
  for (const auto& [name, value] : {std::pair{"client", &caller.address},
                                    {"token", &caller.token},
                                    {"request_id", &caller.request_id},
                                    {"traceparent", &caller.trace_parent},
                                    {"trace_id", &caller.trace_id},
                                    {"span_id", &caller.span_id}}) {
    if (!value->empty()) fields[name] = Printable(*value);
  }
  return fields;
}

}  // namespace

bool RequestLog::IsSampled() const {
  return spdlog::should_log(spdlog::level::debug) &&
         calls_.fetch_add(1, std::memory_order_relaxed) %
                 options_.sample_every ==
             0;
}

void RequestLog::Write(const EndedCall& call) const {
  const spdlog::level::level_enum level = LevelOf(call, options_.slow_seconds);
  if (level == spdlog::level::debug && !IsSampled()) return;
  const Caller caller = call.caller();
  if (options_.format == LogFormat::kJson) {
    LogFields(level, Fields(call, caller));
  } else {
    spdlog::log(level, "{}", Message(call, caller));
  }
}

}  // namespace lmserve
