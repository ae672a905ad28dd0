// SPDX-License-Identifier: Apache-2.0
#include "remote_store/stop_signals.h"

#include <time.h>

#include <algorithm>
#include <cerrno>

namespace lmserve {

StopSignals::StopSignals() {
  sigemptyset(&signals_);
  sigaddset(&signals_, SIGTERM);
  sigaddset(&signals_, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals_, &blocked_before_);
}

StopSignals::~StopSignals() {
  pthread_sigmask(SIG_SETMASK, &blocked_before_, nullptr);
}

absl::Status StopSignals::Wait(std::chrono::milliseconds duration) {
  const auto end = std::chrono::steady_clock::now() + duration;
  while (!stopped_) {
    const std::chrono::nanoseconds left = std::max<std::chrono::nanoseconds>(
        end - std::chrono::steady_clock::now(), std::chrono::nanoseconds(0));
    const timespec wait = {.tv_sec = left.count() / 1'000'000'000,
                           .tv_nsec = left.count() % 1'000'000'000};
    if (sigtimedwait(&signals_, nullptr, &wait) > 0) {
      stopped_ = true;
    } else if (errno != EINTR) {
      return absl::OkStatus();  // the time is over
    }
  }
  return absl::AbortedError("stopped by a signal");
}

}  // namespace lmserve
