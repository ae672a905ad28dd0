// SPDX-License-Identifier: Apache-2.0
#include "models/neural/kernels.h"

#include <algorithm>
#include <cmath>

// Arm's scalable vector types have no size at compile time, so MultiplyPanel()
// could not have arrays of them.
#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)

// Highway compiles the code below once for each instruction set, and chooses
// the best version at run time.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "models/neural/kernels.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

// Highway requires this include after foreach_target.h.
#include "hwy/contrib/math/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lmserve {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

// Calls step(tag, i) for whole vectors of floats, then for each remaining
// float.
template <typename Step>
HWY_ATTR void ForEachVector(size_t n, const Step& step) {
  const hn::ScalableTag<float> wide;
  size_t i = 0;
  for (; i + hn::Lanes(wide) <= n; i += hn::Lanes(wide)) step(wide, i);
  for (; i < n; ++i) step(hn::CappedTag<float, 1>(), i);
}

// The exponent is limited because hn::Exp() is not reliable above 177. NaN is
// handled separately because hn::Exp(NaN) is 0.
template <class D, class V>
HWY_INLINE V Sigmoid(D d, V x) {
  const V one = hn::Set(d, 1.0f);
  const V exponent = hn::Min(hn::Neg(x), hn::Set(d, 88.0f));
  const V y = hn::Div(one, hn::Add(one, hn::Exp(d, exponent)));
  return hn::IfThenElse(hn::IsNaN(x), x, y);
}

template <class D, class V>
HWY_INLINE V Apply(Activation f, D d, V x) {
  switch (f) {
    case Activation::kSigmoid:
      return Sigmoid(d, x);
    case Activation::kTanh:
      return hn::Tanh(d, x);
    case Activation::kRelu:
      return hn::IfThenElse(hn::Lt(x, hn::Zero(d)), hn::Zero(d), x);
  }
  return x;
}

void RnnCell(Activation f, size_t n, const float* input, const float* recurrent,
             float* h) {
  ForEachVector(n, [&](auto d, size_t i) HWY_ATTR {
    const auto x =
        hn::Add(hn::LoadU(d, input + i), hn::LoadU(d, recurrent + i));
    hn::StoreU(Apply(f, d, x), d, h + i);
  });
}

void LstmCell(size_t n, const float* input, const float* recurrent,
              const float* old_c, float* gates, float* c, float* h) {
  ForEachVector(n, [&](auto d, size_t k) HWY_ATTR {
    const auto sum = [&](size_t gate) HWY_ATTR {
      return hn::Add(hn::LoadU(d, input + gate * n + k),
                     hn::LoadU(d, recurrent + gate * n + k));
    };
    const auto i = Sigmoid(d, sum(0));
    const auto f = Sigmoid(d, sum(1));
    const auto g = hn::Tanh(d, sum(2));
    const auto o = Sigmoid(d, sum(3));
    const auto new_c = hn::MulAdd(f, hn::LoadU(d, old_c + k), hn::Mul(i, g));
    hn::StoreU(new_c, d, c + k);
    hn::StoreU(hn::Mul(o, hn::Tanh(d, new_c)), d, h + k);
    if (gates == nullptr) return;
    hn::StoreU(i, d, gates + k);
    hn::StoreU(f, d, gates + n + k);
    hn::StoreU(g, d, gates + 2 * n + k);
    hn::StoreU(o, d, gates + 3 * n + k);
  });
}

void GruCell(size_t n, const float* input, const float* recurrent,
             const float* old_h, float* gates, float* h) {
  ForEachVector(n, [&](auto d, size_t k) HWY_ATTR {
    const auto in = [&](size_t gate)
                        HWY_ATTR { return hn::LoadU(d, input + gate * n + k); };
    const auto rec = [&](size_t gate) HWY_ATTR {
      return hn::LoadU(d, recurrent + gate * n + k);
    };
    const auto r = Sigmoid(d, hn::Add(in(0), rec(0)));
    const auto z = Sigmoid(d, hn::Add(in(1), rec(1)));
    const auto candidate = hn::Tanh(d, hn::MulAdd(r, rec(2), in(2)));
    // (1 - z) * n + z * old_h = n + z * (old_h - n), with n = candidate
    const auto change = hn::Sub(hn::LoadU(d, old_h + k), candidate);
    hn::StoreU(hn::MulAdd(z, change, candidate), d, h + k);
    if (gates == nullptr) return;
    hn::StoreU(r, d, gates + k);
    hn::StoreU(z, d, gates + n + k);
    hn::StoreU(candidate, d, gates + 2 * n + k);
  });
}

void TanhInPlace(float* x, size_t n) {
  ForEachVector(n, [&](auto d, size_t i) HWY_ATTR {
    hn::StoreU(hn::Tanh(d, hn::LoadU(d, x + i)), d, x + i);
  });
}

float MaxOf(const float* x, size_t n) {
  const hn::ScalableTag<float> d;
  auto most = hn::Set(d, x[0]);
  size_t i = 0;
  for (; i + hn::Lanes(d) <= n; i += hn::Lanes(d)) {
    most = hn::Max(most, hn::LoadU(d, x + i));
  }
  float result = hn::GetLane(hn::MaxOfLanes(d, most));
  for (; i < n; ++i) result = std::max(result, x[i]);
  return result;
}

// Sets x_i to exp(x_i - shift) and returns their sum.
float ExpInPlace(float* x, size_t n, float shift) {
  const hn::ScalableTag<float> d;
  auto sum = hn::Zero(d);
  size_t i = 0;
  for (; i + hn::Lanes(d) <= n; i += hn::Lanes(d)) {
    const auto e = hn::Exp(d, hn::Sub(hn::LoadU(d, x + i), hn::Set(d, shift)));
    hn::StoreU(e, d, x + i);
    sum = hn::Add(sum, e);
  }
  float result = hn::GetLane(hn::SumOfLanes(d, sum));
  const hn::CappedTag<float, 1> one;
  for (; i < n; ++i) {
    const auto e =
        hn::Exp(one, hn::Sub(hn::LoadU(one, x + i), hn::Set(one, shift)));
    hn::StoreU(e, one, x + i);
    result += hn::GetLane(e);
  }
  return result;
}

// Returns the sum of exp(x_i - max) over the x_i that are not max, and adds the
// number of the others to *at_max.
float ExpSumBelow(const float* x, size_t n, float max, double* at_max) {
  const hn::ScalableTag<float> d;
  const auto most = hn::Set(d, max);
  auto sum = hn::Zero(d);
  size_t count = 0;
  size_t i = 0;
  for (; i + hn::Lanes(d) <= n; i += hn::Lanes(d)) {
    const auto value = hn::LoadU(d, x + i);
    const auto is_most = hn::Eq(value, most);
    count += hn::CountTrue(d, is_most);
    sum = hn::Add(
        sum, hn::IfThenZeroElse(is_most, hn::Exp(d, hn::Sub(value, most))));
  }
  float result = hn::GetLane(hn::SumOfLanes(d, sum));
  const hn::CappedTag<float, 1> one;
  for (; i < n; ++i) {
    if (x[i] == max) {
      ++count;
    } else {
      result += hn::GetLane(
          hn::Exp(one, hn::Sub(hn::LoadU(one, x + i), hn::Set(one, max))));
    }
  }
  *at_max += static_cast<double>(count);
  return result;
}

float RoundToSteps(size_t n, const float* x, uint8_t* steps) {
  const hn::ScalableTag<float> wide;
  auto mosts = hn::Zero(wide);
  size_t i = 0;
  for (; i + hn::Lanes(wide) <= n; i += hn::Lanes(wide)) {
    const auto value = hn::Abs(hn::LoadU(wide, x + i));
    mosts = hn::Max(mosts, hn::IfThenZeroElse(hn::IsNaN(value), value));
  }
  float most = hn::GetLane(hn::MaxOfLanes(wide, mosts));
  for (; i < n; ++i) most = std::max(most, std::abs(x[i]));
  const float inverse = most > 0 ? 127 / most : 0;
  ForEachVector(n, [&](auto d, size_t k) HWY_ATTR {
    const auto limit = hn::Set(d, 127.0f);
    const auto multiple = hn::Mul(hn::LoadU(d, x + k), hn::Set(d, inverse));
    // The conversion of NaN, which an infinite input gives, is undefined.
    const auto number = hn::IfThenElse(hn::IsNaN(multiple), limit, multiple);
    const auto limited = hn::Max(hn::Neg(limit), hn::Min(limit, number));
    const hn::RebindToSigned<decltype(d)> integers;
    const auto step =
        hn::Add(hn::NearestInt(limited), hn::Set(integers, kZeroStep));
    const hn::Rebind<uint8_t, decltype(d)> bytes;
    hn::StoreU(hn::DemoteTo(bytes, step), bytes, steps + k);
  });
  return most / 127;
}

void SumsToFloats(size_t n, const int32_t* sums, const int32_t* zeros,
                  float scale, const float* scales, const float* bias,
                  float* y) {
  ForEachVector(n, [&](auto d, size_t j) HWY_ATTR {
    const hn::RebindToSigned<decltype(d)> integers;
    const auto sum =
        hn::Sub(hn::LoadU(integers, sums + j), hn::LoadU(integers, zeros + j));
    const auto factor = hn::Mul(hn::Set(d, scale), hn::LoadU(d, scales + j));
    hn::StoreU(
        hn::MulAdd(hn::ConvertTo(d, sum), factor, hn::LoadU(d, bias + j)), d,
        y + j);
  });
}

void Scale(float* x, size_t n, float factor) {
  ForEachVector(n, [&](auto d, size_t i) HWY_ATTR {
    hn::StoreU(hn::Mul(hn::LoadU(d, x + i), hn::Set(d, factor)), d, x + i);
  });
}

float BlockSumOfSquares(const float* x, size_t n) {
  const hn::ScalableTag<float> d;
  auto sum = hn::Zero(d);
  size_t i = 0;
  for (; i + hn::Lanes(d) <= n; i += hn::Lanes(d)) {
    const auto v = hn::LoadU(d, x + i);
    sum = hn::MulAdd(v, v, sum);
  }
  float result = hn::GetLane(hn::SumOfLanes(d, sum));
  for (; i < n; ++i) result += x[i] * x[i];
  return result;
}

// Computes kRows rows of the outputs of one panel. Each sum adds its terms in
// the order of the inputs.
template <size_t kRows>
HWY_INLINE void MultiplyPanel(const float* x, size_t inputs, const float* panel,
                              size_t stride, float* y) {
  const hn::CappedTag<float, 16> d;
  constexpr size_t kMostVectors = 4;  // 16 floats have at most 4 vectors
  const size_t lanes = hn::Lanes(d);
  const size_t vectors = 16 / lanes;
  hn::Vec<decltype(d)> sums[kRows][kMostVectors];
  for (size_t r = 0; r < kRows; ++r) {
    for (size_t v = 0; v < vectors; ++v) {
      sums[r][v] = hn::LoadU(d, y + r * stride + v * lanes);
    }
  }
  for (size_t k = 0; k < inputs; ++k) {
    for (size_t v = 0; v < vectors; ++v) {
      const auto w = hn::LoadU(d, panel + k * 16 + v * lanes);
      for (size_t r = 0; r < kRows; ++r) {
        const auto factor = hn::Set(d, x[r * inputs + k]);
        sums[r][v] = hn::MulAdd(factor, w, sums[r][v]);
      }
    }
  }
  for (size_t r = 0; r < kRows; ++r) {
    for (size_t v = 0; v < vectors; ++v) {
      hn::StoreU(sums[r][v], d, y + r * stride + v * lanes);
    }
  }
}

void MultiplyPanels(const float* x, size_t rows, size_t inputs,
                    const float* packed, size_t panels, float* y) {
  const size_t stride = panels * 16;
  for (size_t p = 0; p < panels; ++p, packed += inputs * 16) {
    size_t r = 0;
    for (; r + 4 <= rows; r += 4) {
      MultiplyPanel<4>(x + r * inputs, inputs, packed, stride,
                       y + r * stride + p * 16);
    }
    for (; r < rows; ++r) {
      MultiplyPanel<1>(x + r * inputs, inputs, packed, stride,
                       y + r * stride + p * 16);
    }
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace lmserve
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

namespace lmserve {
namespace {

HWY_EXPORT(RnnCell);
HWY_EXPORT(LstmCell);
HWY_EXPORT(GruCell);
HWY_EXPORT(TanhInPlace);
HWY_EXPORT(MaxOf);
HWY_EXPORT(ExpInPlace);
HWY_EXPORT(ExpSumBelow);
HWY_EXPORT(RoundToSteps);
HWY_EXPORT(SumsToFloats);
HWY_EXPORT(Scale);
HWY_EXPORT(BlockSumOfSquares);
HWY_EXPORT(MultiplyPanels);

}  // namespace

void RnnCell(Activation f, size_t n, const float* input, const float* recurrent,
             float* h) {
  HWY_DYNAMIC_DISPATCH(RnnCell)(f, n, input, recurrent, h);
}

void LstmCell(size_t n, const float* input, const float* recurrent,
              const float* old_c, float* gates, float* c, float* h) {
  HWY_DYNAMIC_DISPATCH(LstmCell)(n, input, recurrent, old_c, gates, c, h);
}

void GruCell(size_t n, const float* input, const float* recurrent,
             const float* old_h, float* gates, float* h) {
  HWY_DYNAMIC_DISPATCH(GruCell)(n, input, recurrent, old_h, gates, h);
}

void TanhInPlace(absl::Span<float> x) {
  HWY_DYNAMIC_DISPATCH(TanhInPlace)(x.data(), x.size());
}

void LogSoftmax::Add(absl::Span<const float> x) {
  if (x.empty()) return;
  const float max = HWY_DYNAMIC_DISPATCH(MaxOf)(x.data(), x.size());
  if (max == -std::numeric_limits<float>::infinity()) return;
  if (max > max_) {
    below_ = (at_max_ + below_) * std::exp(double{max_} - max);
    at_max_ = 0;
    max_ = max;
  }
  below_ +=
      HWY_DYNAMIC_DISPATCH(ExpSumBelow)(x.data(), x.size(), max_, &at_max_);
}

LogSoftmax::Result LogSoftmax::result() const {
  return {max_, static_cast<float>(std::log1p(at_max_ - 1 + below_))};
}

float SoftmaxInPlace(absl::Span<float> x) {
  const float max = HWY_DYNAMIC_DISPATCH(MaxOf)(x.data(), x.size());
  const float sum = HWY_DYNAMIC_DISPATCH(ExpInPlace)(x.data(), x.size(), max);
  HWY_DYNAMIC_DISPATCH(Scale)(x.data(), x.size(), 1 / sum);
  return max + std::log(sum);
}

float RoundToSteps(size_t n, const float* x, uint8_t* steps) {
  return HWY_DYNAMIC_DISPATCH(RoundToSteps)(n, x, steps);
}

void SumsToFloats(size_t n, const int32_t* sums, const int32_t* zeros,
                  float scale, const float* scales, const float* bias,
                  float* y) {
  HWY_DYNAMIC_DISPATCH(SumsToFloats)
  (n, sums, zeros, scale, scales, bias, y);
}

double SumOfSquares(absl::Span<const float> x) {
  constexpr size_t kBlock = 4096;  // small enough to sum accurately in float
  double sum = 0;
  for (size_t i = 0; i < x.size(); i += kBlock) {
    sum += HWY_DYNAMIC_DISPATCH(BlockSumOfSquares)(
        x.data() + i, std::min(kBlock, x.size() - i));
  }
  return sum;
}

void MultiplyPanels(const float* x, size_t rows, size_t inputs,
                    const float* packed, size_t panels, float* y) {
  HWY_DYNAMIC_DISPATCH(MultiplyPanels)(x, rows, inputs, packed, panels, y);
}

}  // namespace lmserve

#endif  // HWY_ONCE
