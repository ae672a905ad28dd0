// SPDX-License-Identifier: Apache-2.0
#include "models/ngram/compact/count_smoothing.h"

namespace lmserve {

CountWeights CountSums::Weights(const CountSmoothing& smoothing) const {
  if (sum == 0) return {0, 1};
  const double types = smoothing.types_weight * static_cast<double>(children);
  const double inverse = 1 / (static_cast<double>(sum) + types);
  const double discounts =
      smoothing.discount[1] * static_cast<double>(ones) +
      smoothing.discount[2] * static_cast<double>(twos) +
      smoothing.discount[3] * static_cast<double>(children - ones - twos);
  return {inverse, (discounts + types) * inverse};
}

}  // namespace lmserve
