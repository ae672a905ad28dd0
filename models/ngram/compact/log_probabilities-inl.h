// SPDX-License-Identifier: Apache-2.0
//
// LogProbabilities() for code that Highway compiles for several instruction
// sets. The results have the same bits with AVX2 and all that came after it.

#if defined(LMSERVE_MODELS_NGRAM_COMPACT_LOG_PROBABILITIES_INL_H_) == \
    defined(HWY_TARGET_TOGGLE)
#ifdef LMSERVE_MODELS_NGRAM_COMPACT_LOG_PROBABILITIES_INL_H_
#undef LMSERVE_MODELS_NGRAM_COMPACT_LOG_PROBABILITIES_INL_H_
#else
#define LMSERVE_MODELS_NGRAM_COMPACT_LOG_PROBABILITIES_INL_H_
#endif

#include <cstddef>

#include "hwy/contrib/math/math-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace lmserve {
namespace HWY_NAMESPACE {
namespace {

template <class D>
HWY_INLINE void LogLanes(D d, const double* p, float* logs) {
  namespace hn = hwy::HWY_NAMESPACE;
  const hn::Rebind<float, D> narrow;
  const auto x = hn::Min(hn::LoadU(d, p), hn::Set(d, 1.0));
  const auto y = hn::IfThenElse(hn::Gt(x, hn::Zero(d)), hn::Log(d, x),
                                hn::Neg(hn::Inf(d)));
  hn::StoreU(hn::DemoteTo(narrow, y), narrow, logs);
}

// See LogProbabilities().
HWY_INLINE void LogAll(const double* p, size_t size, float* logs) {
  namespace hn = hwy::HWY_NAMESPACE;
  const hn::ScalableTag<double> wide;
  size_t i = 0;
  for (; i + hn::Lanes(wide) <= size; i += hn::Lanes(wide)) {
    LogLanes(wide, p + i, logs + i);
  }
  for (; i < size; ++i) LogLanes(hn::CappedTag<double, 1>(), p + i, logs + i);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace lmserve
HWY_AFTER_NAMESPACE();

#endif  // LMSERVE_MODELS_NGRAM_COMPACT_LOG_PROBABILITIES_INL_H_
