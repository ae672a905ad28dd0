// SPDX-License-Identifier: Apache-2.0
#include "models/ngram/log_probabilities.h"

#include <cstddef>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "models/ngram/log_probabilities.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

// Highway requires this include after foreach_target.h.
#include "hwy/contrib/math/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lmserve {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

template <class D>
void Log(D d, const double* p, float* logs) {
  const hn::Rebind<float, D> narrow;
  const auto x = hn::Min(hn::LoadU(d, p), hn::Set(d, 1.0));
  const auto y = hn::IfThenElse(hn::Gt(x, hn::Zero(d)), hn::Log(d, x),
                                hn::Neg(hn::Inf(d)));
  hn::StoreU(hn::DemoteTo(narrow, y), narrow, logs);
}

void LogAll(const double* p, size_t size, float* logs) {
  const hn::ScalableTag<double> wide;
  size_t i = 0;
  for (; i + hn::Lanes(wide) <= size; i += hn::Lanes(wide)) {
    Log(wide, p + i, logs + i);
  }
  for (; i < size; ++i) Log(hn::CappedTag<double, 1>(), p + i, logs + i);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace lmserve
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

namespace lmserve {

HWY_EXPORT(LogAll);

void LogProbabilities(absl::Span<const double> probabilities,
                      absl::Span<float> logs) {
  HWY_DYNAMIC_DISPATCH(LogAll)
  (probabilities.data(), probabilities.size(), logs.data());
}

}  // namespace lmserve

#endif  // HWY_ONCE
