// SPDX-License-Identifier: Apache-2.0
#include "models/mixture/mixture_kernel.h"

#include <limits>

// Highway compiles the code below once for each instruction set, and chooses
// the best version at run time.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "models/mixture/mixture_kernel.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

// Highway requires this include after foreach_target.h.
#include "hwy/contrib/math/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lmserve {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

// Mixes as many words as a vector of doubles has lanes. log_probs points to
// those of the first member; the ones of member m are m * words floats later.
template <class D>
HWY_ATTR void MixVector(D d, absl::Span<const double> weights,
                        const float* log_probs, size_t words, float* mixed) {
  const hn::Rebind<float, D> floats;
  const auto impossible =
      hn::Set(floats, -std::numeric_limits<float>::infinity());
  auto best = impossible;
  for (size_t m = 0; m < weights.size(); ++m) {
    if (weights[m] == 0) continue;
    best = hn::Max(best, hn::LoadU(floats, log_probs + m * words));
  }
  const auto best_in_double = hn::PromoteTo(d, best);
  auto sum = hn::Zero(d);
  for (size_t m = 0; m < weights.size(); ++m) {
    if (weights[m] == 0) continue;
    const auto log_prob =
        hn::PromoteTo(d, hn::LoadU(floats, log_probs + m * words));
    const auto ratio = hn::Exp(d, hn::Sub(log_prob, best_in_double));
    sum = hn::Add(sum, hn::Mul(hn::Set(d, weights[m]), ratio));
  }
  // The mean must not exceed 1, but rounded weights may sum to slightly more.
  const auto log_mean = hn::Min(hn::Log(d, sum), hn::Zero(d));
  const auto log_prob = hn::DemoteTo(floats, hn::Add(best_in_double, log_mean));
  hn::StoreU(hn::IfThenElse(hn::Eq(best, impossible), impossible, log_prob),
             floats, mixed);
}

void MixLogProbs(absl::Span<const double> weights, const float* log_probs,
                 size_t words, float* mixed) {
  const hn::ScalableTag<double> wide;
  size_t t = 0;
  for (; t + hn::Lanes(wide) <= words; t += hn::Lanes(wide)) {
    MixVector(wide, weights, log_probs + t, words, mixed + t);
  }
  const hn::CappedTag<double, 1> one;
  for (; t < words; ++t) {
    MixVector(one, weights, log_probs + t, words, mixed + t);
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace lmserve
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

namespace lmserve {
namespace {

HWY_EXPORT(MixLogProbs);

}  // namespace

void MixLogProbs(absl::Span<const double> weights, const float* log_probs,
                 size_t words, float* mixed) {
  HWY_DYNAMIC_DISPATCH(MixLogProbs)(weights, log_probs, words, mixed);
}

}  // namespace lmserve

#endif  // HWY_ONCE
