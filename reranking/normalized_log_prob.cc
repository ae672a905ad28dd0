// SPDX-License-Identifier: Apache-2.0
#include "reranking/normalized_log_prob.h"

#include <cmath>

namespace lmserve {

double NormalizedLogProb(double log_prob, size_t impossible, size_t words,
                         double alpha) {
  if (words == 0) return 0;
  const double divisor =
      alpha == 0 ? 1 : std::pow(static_cast<double>(words), alpha);
  return log_prob / divisor + static_cast<double>(impossible) * kImpossibleWord;
}

}  // namespace lmserve
