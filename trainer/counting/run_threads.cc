// SPDX-License-Identifier: Apache-2.0
#include "trainer/counting/run_threads.h"

#include <thread>
#include <vector>

namespace lmserve {

absl::Status RunThreads(int threads,
                        absl::FunctionRef<absl::Status(int)> work) {
  std::vector<absl::Status> statuses(threads);
  std::vector<std::thread> helpers;
  for (int i = 1; i < threads; ++i) {
    helpers.emplace_back([&, i] { statuses[i] = work(i); });
  }
  statuses[0] = work(0);
  for (std::thread& helper : helpers) helper.join();
  for (const absl::Status& status : statuses) {
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status CheckStop(const StopFlag* stop) {
  return stop != nullptr && stop->load(std::memory_order_relaxed)
             ? absl::AbortedError("interrupted")
             : absl::OkStatus();
}

}  // namespace lmserve
