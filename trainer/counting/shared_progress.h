// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_COUNTING_SHARED_PROGRESS_H_
#define LMSERVE_TRAINER_COUNTING_SHARED_PROGRESS_H_

#include <cstdint>
#include <mutex>
#include <string>
#include <utility>

#include "trainer/text/progress.h"

namespace lmserve {

// Shows the progress of several threads. Thread-safe.
class SharedProgress {
 public:
  // `total` is what all calls of Add() add up to.
  SharedProgress(std::string label, uint64_t total)
      : total_(total), progress_(std::move(label)) {}

  // To be called not more than some thousand times a second.
  void Add(uint64_t done) {
    const std::lock_guard<std::mutex> lock(mutex_);
    done_ += done;
    progress_.Show(done_, total_ == 0 ? 1
                                      : static_cast<double>(done_) /
                                            static_cast<double>(total_));
  }

  // To be called after the threads have ended.
  void Finish() { progress_.Finish(done_); }

 private:
  const uint64_t total_;
  std::mutex mutex_;  // guards what is below
  Progress progress_;
  uint64_t done_ = 0;
};

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_COUNTING_SHARED_PROGRESS_H_
