// SPDX-License-Identifier: Apache-2.0
#include "models/cache/cache_kernel.h"

#include <random>
#include <vector>

#include "gtest/gtest.h"
#include "models/neural/weight_matrix.h"

namespace lmserve {
namespace {

std::vector<float> RandomFloats(size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::vector<float> floats(count);
  for (float& x : floats) x = uniform(random);
  return floats;
}

std::vector<uint16_t> RoundAll(const std::vector<float>& floats) {
  std::vector<uint16_t> rounded;
  rounded.reserve(floats.size());
  for (float x : floats) rounded.push_back(ToBf16(x));
  return rounded;
}

// Compares with sums in double, and each product of a large call with the same
// product alone.
template <typename Key, typename ToFloat>
void CheckProducts(size_t rows, size_t units, const std::vector<float>& x,
                   const std::vector<Key>& keys, const ToFloat& to_float) {
  const size_t count = keys.size() / units, stride = count + 3;
  std::vector<float> products(rows * stride, 99);
  DotProducts(x.data(), rows, units, keys.data(), count, products.data(),
              stride);
  for (size_t r = 0; r < rows; ++r) {
    for (size_t i = 0; i < count; ++i) {
      double expected = 0;
      for (size_t k = 0; k < units; ++k) {
        expected += double{x[r * units + k]} * to_float(keys[i * units + k]);
      }
      const float found = products[r * stride + i];
      ASSERT_NEAR(found, expected, 1e-6 * units) << units;
      float alone = 0;
      DotProducts(x.data() + r * units, 1, units, keys.data() + i * units, 1,
                  &alone, 1);
      ASSERT_EQ(found, alone);
    }
    for (size_t i = count; i < stride; ++i) {
      ASSERT_EQ(products[r * stride + i], 99) << "beyond the row";
    }
  }
}

TEST(DotProductsTest, EqualsNaive) {
  for (size_t units : {1, 2, 7, 8, 15, 16, 17, 31, 32, 33, 64, 100, 650}) {
    for (size_t rows : {1, 2, 3, 4, 5, 9, 16}) {
      const std::vector<float> x = RandomFloats(rows * units, 1);
      const std::vector<float> keys = RandomFloats(6 * units, 2);
      CheckProducts(rows, units, x, keys, [](float key) { return key; });
      CheckProducts(rows, units, x, RoundAll(keys), FromBf16);
    }
  }
}

}  // namespace
}  // namespace lmserve
