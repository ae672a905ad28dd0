// SPDX-License-Identifier: Apache-2.0
#include "server/telemetry/request_log.h"

#include <spdlog/spdlog.h>

namespace lmserve {
namespace {

constexpr double kMilliseconds = 1e3;

}  // namespace

void RequestLog::Write(const EndedCall& call) const {
  spdlog::level::level_enum level = spdlog::level::debug;
  if (call.status.code() == absl::StatusCode::kInternal ||
      call.status.code() == absl::StatusCode::kUnknown) {
    level = spdlog::level::err;
  } else if (call.queue_seconds + call.compute_seconds >=
             options_.slow_seconds) {
    level = spdlog::level::warn;
  } else if (!spdlog::should_log(level) ||
             calls_.fetch_add(1, std::memory_order_relaxed) %
                     options_.sample_every !=
                 0) {
    return;
  }
  spdlog::log(level,
              "{} from {}: {} in {:.3f} ms, queued {:.3f} ms, computed {:.3f} "
              "ms{}{}",
              std::string(call.method), call.client(),
              absl::StatusCodeToString(call.status.code()),
              call.seconds * kMilliseconds, call.queue_seconds * kMilliseconds,
              call.compute_seconds * kMilliseconds,
              call.status.ok() ? "" : ": ", std::string(call.status.message()));
}

}  // namespace lmserve
