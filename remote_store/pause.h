// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_REMOTE_STORE_PAUSE_H_
#define LMSERVE_REMOTE_STORE_PAUSE_H_

#include <chrono>
#include <functional>

#include "absl/status/status.h"

namespace lmserve {

// How everything in this folder waits, and learns that it must end: waits for a
// duration, which may be 0, and returns ABORTED as soon as the process is asked
// to stop. Long work calls it regularly with 0.
using Pause = std::function<absl::Status(std::chrono::milliseconds)>;

}  // namespace lmserve

#endif  // LMSERVE_REMOTE_STORE_PAUSE_H_
