// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_MIXTURE_MIXTURE_KERNEL_H_
#define LMSERVE_MODELS_MIXTURE_MIXTURE_KERNEL_H_

#include <cstddef>

#include "absl/types/span.h"

namespace lmserve {

// Mixes the log-probabilities that the members m of a mixture give to words t:
//
//   mixed[t] = ln sum_m weights[m] exp(log_probs[m * words + t])
//
// log_probs has the shape (weights.size(), words). The sum is computed in
// double relative to the largest term, so that small probabilities do not
// underflow; -infinity is a valid input. A result is never above that of the
// best member. Equal inputs give bit-identical results at any position t. mixed
// may alias log_probs. Thread-safe.
// REQUIRES: the weights are at least 0 and sum to 1.
void MixLogProbs(absl::Span<const double> weights, const float* log_probs,
                 size_t words, float* mixed);

}  // namespace lmserve

#endif  // LMSERVE_MODELS_MIXTURE_MIXTURE_KERNEL_H_
