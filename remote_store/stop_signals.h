// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_REMOTE_STORE_STOP_SIGNALS_H_
#define LMSERVE_REMOTE_STORE_STOP_SIGNALS_H_

#include <signal.h>

#include <chrono>

#include "absl/status/status.h"

namespace lmserve {

// Blocks SIGTERM and SIGINT until the destructor, and reports them. For the
// only thread of a process.
class StopSignals {
 public:
  StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;
  ~StopSignals();

  // A Pause: waits, and returns ABORTED at once if one of the signals has come,
  // now or earlier.
  absl::Status Wait(std::chrono::milliseconds duration);

 private:
  sigset_t signals_;
  sigset_t blocked_before_;
  bool stopped_ = false;
};

}  // namespace lmserve

#endif  // LMSERVE_REMOTE_STORE_STOP_SIGNALS_H_
