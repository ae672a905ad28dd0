// SPDX-License-Identifier: Apache-2.0
#include "models/ngram/compact/log_probabilities.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "models/ngram/compact/log_probabilities.cc"
#include "hwy/foreach_target.h"
// Highway requires these includes after foreach_target.h.
#include "hwy/highway.h"
#include "models/ngram/compact/log_probabilities-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lmserve {
namespace HWY_NAMESPACE {
namespace {

void Logs(const double* p, size_t size, float* logs) { LogAll(p, size, logs); }

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace lmserve
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

namespace lmserve {

HWY_EXPORT(Logs);

void LogProbabilities(absl::Span<const double> probabilities,
                      absl::Span<float> logs) {
  HWY_DYNAMIC_DISPATCH(Logs)
  (probabilities.data(), probabilities.size(), logs.data());
}

}  // namespace lmserve

#endif  // HWY_ONCE
