// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_NEURAL_DROPOUT_H_
#define LMSERVE_TRAINER_NEURAL_DROPOUT_H_

#include <cstddef>
#include <vector>

#include "trainer/neural/random.h"

namespace lmserve {

// Sets each number to 0 with probability `rate` and multiplies the others by
// 1 / (1 - rate) (Hinton et al. 2012; for recurrent networks Zaremba et al.
// 2014). Keeps the factors for Backward(). Not thread-safe.
template <typename T>
class Dropout {
 public:
  explicit Dropout(double rate) : rate_(rate) {}

  // Applies dropout to x in place; does nothing if random is null.
  void Forward(T* x, size_t n, Random* random) {
    active_ = random != nullptr && rate_ > 0;
    if (!active_) return;
    const T kept = static_cast<T>(1 / (1 - rate_));
    const auto threshold = static_cast<uint32_t>(rate_ * 0x1p32);
    factors_.resize(n);
    uint64_t bits = 0;
    for (size_t i = 0; i < n; ++i) {
      bits = i % 2 == 0 ? random->Next() : bits >> 32;
      factors_[i] = static_cast<uint32_t>(bits) < threshold ? 0 : kept;
      x[i] *= factors_[i];
    }
  }

  // Multiplies dx by the factors of the last Forward().
  void Backward(T* dx, size_t n) const {
    if (!active_) return;
    for (size_t i = 0; i < n; ++i) dx[i] *= factors_[i];
  }

 private:
  const double rate_;
  bool active_ = false;
  std::vector<T> factors_;
};

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_NEURAL_DROPOUT_H_
