// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_EVALUATION_MIXTURE_WEIGHTS_H_
#define LMSERVE_TRAINER_EVALUATION_MIXTURE_WEIGHTS_H_

#include <cstddef>
#include <vector>

#include "absl/types/span.h"

namespace lmserve {

struct FitOptions {
  int iterations = 200;  // maximum number
  // The fit stops when an iteration improves ln P by at most this fraction.
  double gain = 1e-7;
};

struct MixtureFit {
  std::vector<double> weights;  // sum to 1
  int iterations = 0;
  double log_prob = 0;    // sum of ln P of the words with P > 0
  size_t impossible = 0;  // number of words that have P = 0 under all members
};

// Finds the mixture weights that maximize the probability of a text, by
// expectation maximization from equal weights. No iteration reduces the
// probability. log_probs[m][t] is ln P of word t under member m and may be
// -infinity. Words that are impossible under all members are ignored.
// REQUIRES: at least 1 member, and the same number of words for all members.
MixtureFit FitMixtureWeights(absl::Span<const std::vector<float>> log_probs,
                             const FitOptions& options = {});

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_EVALUATION_MIXTURE_WEIGHTS_H_
