// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_EVALUATION_STOPWATCH_H_
#define LMSERVE_TRAINER_EVALUATION_STOPWATCH_H_

#include <chrono>

namespace lmserve {

// Measures the time since it was made.
class Stopwatch {
 public:
  double Seconds() const {
    return std::chrono::duration<double>(Clock::now() - start_).count();
  }

 private:
  using Clock = std::chrono::steady_clock;

  const Clock::time_point start_ = Clock::now();
};

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_EVALUATION_STOPWATCH_H_
