// SPDX-License-Identifier: Apache-2.0
#include "models/ngram/log_probabilities.h"

#include <algorithm>
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

void Log(const double* p, size_t size, float* logs) {
  const hn::ScalableTag<double> d;
  const hn::Rebind<float, decltype(d)> narrow;
  const size_t lanes = hn::Lanes(d);
  const auto log = [&](const double* from, float* to) HWY_ATTR {
    const auto x = hn::Min(hn::LoadU(d, from), hn::Set(d, 1.0));
    const auto y = hn::IfThenElse(hn::Gt(x, hn::Zero(d)), hn::Log(d, x),
                                  hn::Neg(hn::Inf(d)));
    hn::StoreU(hn::DemoteTo(narrow, y), narrow, to);
  };
  size_t i = 0;
  for (; i + lanes <= size; i += lanes) log(p + i, logs + i);
  if (i == size) return;
  HWY_ALIGN double rest[hn::MaxLanes(d)];
  HWY_ALIGN float results[hn::MaxLanes(d)];
  std::fill_n(rest, lanes, 1.0);
  std::copy(p + i, p + size, rest);
  log(rest, results);
  std::copy_n(results, size - i, logs + i);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace lmserve
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

namespace lmserve {

HWY_EXPORT(Log);

void LogProbabilities(absl::Span<const double> probabilities,
                      absl::Span<float> logs) {
  HWY_DYNAMIC_DISPATCH(Log)
  (probabilities.data(), probabilities.size(), logs.data());
}

}  // namespace lmserve

#endif  // HWY_ONCE
