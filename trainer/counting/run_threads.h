// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_COUNTING_RUN_THREADS_H_
#define LMSERVE_TRAINER_COUNTING_RUN_THREADS_H_

#include <atomic>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"

namespace lmserve {

// Calls work(0) to work(threads - 1), each on a thread of its own, and waits
// for all. Returns the error of the lowest number.
absl::Status RunThreads(int threads, absl::FunctionRef<absl::Status(int)> work);

// A request to stop, which a signal handler may make.
using StopFlag = std::atomic<bool>;

// ABORTED if a stop was requested. `stop` may be null.
absl::Status CheckStop(const StopFlag* stop);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_COUNTING_RUN_THREADS_H_
