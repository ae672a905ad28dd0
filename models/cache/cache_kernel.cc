// SPDX-License-Identifier: Apache-2.0
#include "models/cache/cache_kernel.h"

// Arm's scalable vector types have no size at compile time, so DotRows() could
// not have arrays of them.
#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)

// Highway compiles the code below once for each instruction set, and chooses
// the best version at run time.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "models/cache/cache_kernel.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace lmserve {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

// Loads a vector of numbers, at any address, as floats. (hn::Load() would need
// aligned ones.)
template <class D>
HWY_INLINE hn::Vec<D> LoadKey(D d, const float* from) {
  return hn::LoadU(d, from);
}
template <class D>
HWY_INLINE hn::Vec<D> LoadKey(D d, const uint16_t* from) {
  const hn::Rebind<uint16_t, D> narrow;
  const hn::RebindToUnsigned<D> wide;
  return hn::BitCast(
      d, hn::ShiftLeft<16>(hn::PromoteTo(wide, hn::LoadU(narrow, from))));
}

// Multiplies kRows vectors by one key. Each sum has two parts, of the even and
// of the odd vectors.
template <size_t kRows, typename Key>
HWY_ATTR void DotRows(const float* x, size_t units, const Key* key,
                      float* products, size_t stride) {
  const hn::ScalableTag<float> d;
  const size_t lanes = hn::Lanes(d);
  hn::Vec<decltype(d)> even[kRows], odd[kRows];
  for (size_t r = 0; r < kRows; ++r) even[r] = odd[r] = hn::Zero(d);
  size_t k = 0;
  for (; k + 2 * lanes <= units; k += 2 * lanes) {
    const auto first = LoadKey(d, key + k);
    const auto second = LoadKey(d, key + k + lanes);
    for (size_t r = 0; r < kRows; ++r) {
      const float* row = x + r * units + k;
      even[r] = hn::MulAdd(hn::LoadU(d, row), first, even[r]);
      odd[r] = hn::MulAdd(hn::LoadU(d, row + lanes), second, odd[r]);
    }
  }
  const hn::CappedTag<float, 1> one;
  for (size_t r = 0; r < kRows; ++r) {
    const float most = hn::GetLane(hn::SumOfLanes(d, hn::Add(even[r], odd[r])));
    auto sum = hn::Set(one, most);
    for (size_t i = k; i < units; ++i) {
      sum = hn::MulAdd(hn::LoadU(one, x + r * units + i), LoadKey(one, key + i),
                       sum);
    }
    products[r * stride] = hn::GetLane(sum);
  }
}

template <typename Key>
HWY_ATTR void Dots(const float* x, size_t rows, size_t units, const Key* keys,
                   size_t count, float* products, size_t stride) {
  for (size_t i = 0; i < count; ++i) {
    const Key* key = keys + i * units;
    size_t r = 0;
    for (; r + 4 <= rows; r += 4) {
      DotRows<4>(x + r * units, units, key, products + r * stride + i, stride);
    }
    for (; r < rows; ++r) {
      DotRows<1>(x + r * units, units, key, products + r * stride + i, stride);
    }
  }
}

void FloatDots(const float* x, size_t rows, size_t units, const float* keys,
               size_t count, float* products, size_t stride) {
  Dots(x, rows, units, keys, count, products, stride);
}

void Bf16Dots(const float* x, size_t rows, size_t units, const uint16_t* keys,
              size_t count, float* products, size_t stride) {
  Dots(x, rows, units, keys, count, products, stride);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace lmserve
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

namespace lmserve {
namespace {

HWY_EXPORT(FloatDots);
HWY_EXPORT(Bf16Dots);

}  // namespace

void DotProducts(const float* x, size_t rows, size_t units, const float* keys,
                 size_t count, float* products, size_t stride) {
  HWY_DYNAMIC_DISPATCH(FloatDots)
  (x, rows, units, keys, count, products, stride);
}

void DotProducts(const float* x, size_t rows, size_t units,
                 const uint16_t* keys, size_t count, float* products,
                 size_t stride) {
  HWY_DYNAMIC_DISPATCH(Bf16Dots)(x, rows, units, keys, count, products, stride);
}

}  // namespace lmserve

#endif  // HWY_ONCE
