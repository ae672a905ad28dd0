// SPDX-License-Identifier: Apache-2.0
#include "models/distribution.h"

#include <algorithm>
#include <cstddef>

// Highway compiles the code below once for each instruction set, and chooses
// the best version at run time.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "models/distribution.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

// Highway requires this include after foreach_target.h.
#include "hwy/contrib/math/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lmserve {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

// Returns -sum exp(x) x. Terms of -infinity are 0.
template <class D>
HWY_INLINE hn::Vec<D> EntropyTerms(D d, hn::Vec<D> x) {
  const auto term = hn::Mul(hn::Exp(d, x), hn::Neg(x));
  // Exp() is 0 below about -104, and 0 times infinity is NaN.
  return hn::IfThenElseZero(hn::Gt(x, hn::Set(d, -104.0f)), term);
}

float BlockEntropy(const float* x, size_t n) {
  const hn::ScalableTag<float> d;
  auto sum = hn::Zero(d);
  size_t i = 0;
  for (; i + hn::Lanes(d) <= n; i += hn::Lanes(d)) {
    sum = hn::Add(sum, EntropyTerms(d, hn::LoadU(d, x + i)));
  }
  float result = hn::GetLane(hn::SumOfLanes(d, sum));
  const hn::CappedTag<float, 1> one;
  for (; i < n; ++i) {
    result += hn::GetLane(EntropyTerms(one, hn::LoadU(one, x + i)));
  }
  return result;
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace lmserve
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

namespace lmserve {

HWY_EXPORT(BlockEntropy);

void TakeBest(absl::Span<const float> log_probs, absl::Span<ScoredWord> best) {
  if (best.empty()) return;
  const auto k = static_cast<WordId>(best.size());
  for (WordId w = 0; w < k; ++w) best[w] = {w, log_probs[w]};
  // The first of the heap is the least likely.
  std::make_heap(best.begin(), best.end(), Likelier);
  for (WordId w = k; w < log_probs.size(); ++w) {
    const ScoredWord word = {w, log_probs[w]};
    if (!Likelier(word, best.front())) continue;
    std::pop_heap(best.begin(), best.end(), Likelier);
    best.back() = word;
    std::push_heap(best.begin(), best.end(), Likelier);
  }
  std::sort_heap(best.begin(), best.end(), Likelier);
}

uint32_t RankOf(absl::Span<const float> log_probs, WordId word) {
  const float log_prob = log_probs[word];
  uint32_t likelier = 0;
  for (WordId w = 0; w < word; ++w) likelier += log_probs[w] >= log_prob;
  for (WordId w = word; w < log_probs.size(); ++w) {
    likelier += log_probs[w] > log_prob;
  }
  return likelier + 1;
}

float Entropy(absl::Span<const float> log_probs) {
  constexpr size_t kBlock = 4096;  // small enough to sum accurately in float
  double sum = 0;
  for (size_t i = 0; i < log_probs.size(); i += kBlock) {
    sum += HWY_DYNAMIC_DISPATCH(BlockEntropy)(
        log_probs.data() + i, std::min(kBlock, log_probs.size() - i));
  }
  return static_cast<float>(sum);
}

}  // namespace lmserve

#endif  // HWY_ONCE
