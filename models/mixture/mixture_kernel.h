#ifndef LMSERVE_MODELS_MIXTURE_MIXTURE_KERNEL_H_
#define LMSERVE_MODELS_MIXTURE_MIXTURE_KERNEL_H_

#include <cstddef>

#include "absl/types/span.h"

namespace lmserve {

// Mixes the probabilities that members give some words:
//
//   mixed[t] = ln of the sum over m of weights[m] exp(log_probs[m * words + t])
//
// in double, scaled by the best member, so that no probability is too small;
// -infinity is one. Never above the best member. The same numbers give the same
// bits wherever they stand. mixed may be log_probs. Thread-safe.
// REQUIRES: the weights are 0 or more and sum to 1.
void MixLogProbs(absl::Span<const double> weights, const float* log_probs,
                 size_t words, float* mixed);

}  // namespace lmserve

#endif  // LMSERVE_MODELS_MIXTURE_MIXTURE_KERNEL_H_
