// SPDX-License-Identifier: Apache-2.0
//
// Tests of weights in less than 32 bits, and of their rounding errors.

#include "models/neural/weight_matrix.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lmserve {
namespace {

using testing::ElementsAre;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

using Floats = std::vector<float>;

float FromBits(uint32_t bits) { return std::bit_cast<float>(bits); }

Floats Row(const WeightMatrix& matrix, size_t row) {
  Floats numbers(matrix.cols);
  matrix.CopyRow(row, numbers.data());
  return numbers;
}

// Returns a view of a converted matrix.
WeightMatrix Of(const ConvertedMatrix& converted, Precision precision,
                size_t rows, size_t cols) {
  WeightMatrix matrix;
  matrix.precision = precision;
  matrix.rows = rows;
  matrix.cols = cols;
  matrix.bytes = converted.bytes;
  matrix.scales = converted.scales;
  return matrix;
}

// Returns a matrix of random numbers of many magnitudes.
Floats RandomFloats(size_t rows, size_t cols) {
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  Floats numbers(rows * cols);
  for (float& x : numbers) x = normal(random) * std::exp(4 * normal(random));
  return numbers;
}

TEST(Bf16Test, EveryNumberSurvivesARoundTrip) {
  for (uint32_t bits = 0; bits <= 0xFFFF; ++bits) {
    const auto x = static_cast<uint16_t>(bits);
    const float wide = FromBf16(x);
    if (std::isnan(wide)) {
      EXPECT_TRUE(std::isnan(FromBf16(ToBf16(wide)))) << bits;
    } else {
      EXPECT_EQ(ToBf16(wide), x) << bits;
    }
  }
}

// Checks the floats between every bfloat16 and the next larger one: they are
// rounded to the nearer one, and the midpoint to the even one.
TEST(Bf16Test, RoundsToNearestTiesToEven) {
  for (uint32_t low = 0; low <= 0xFFFF; ++low) {
    const auto x = static_cast<uint16_t>(low);
    if (!std::isfinite(FromBf16(x))) continue;
    const auto next = static_cast<uint16_t>(low + 1);
    const uint32_t middle = low << 16 | 0x8000;
    EXPECT_EQ(ToBf16(FromBits(middle - 1)), x);
    EXPECT_EQ(ToBf16(FromBits(middle)), x % 2 == 0 ? x : next);
    EXPECT_EQ(ToBf16(FromBits(middle + 1)), next);
    EXPECT_EQ(ToBf16(FromBits(low << 16 | 1)), x);
    EXPECT_EQ(ToBf16(FromBits(low << 16 | 0xFFFF)), next);
  }
}

TEST(Bf16Test, SpecialNumbers) {
  EXPECT_EQ(ToBf16(1), 0x3F80);
  EXPECT_EQ(ToBf16(-2), 0xC000);
  EXPECT_EQ(ToBf16(0), 0);
  EXPECT_EQ(ToBf16(-0.0f), 0x8000);
  EXPECT_EQ(ToBf16(kInfinity), 0x7F80);
  EXPECT_EQ(ToBf16(-kInfinity), 0xFF80);
  EXPECT_EQ(FromBf16(ToBf16(std::numeric_limits<float>::max())), kInfinity);
  // Include NaNs of which only low bits of the fraction are set.
  for (uint32_t bits : {0x7F800001u, 0xFF800001u, 0x7FC00000u, 0x7FFFFFFFu}) {
    EXPECT_TRUE(std::isnan(FromBf16(ToBf16(FromBits(bits))))) << bits;
  }
}

TEST(WeightMatrixTest, FloatsSurviveARoundTrip) {
  const Floats numbers = RandomFloats(7, 5);
  const WeightMatrix matrix = WeightMatrix::Of(numbers, 7, 5);
  const ConvertedMatrix same = ConvertMatrix(matrix, Precision::kFloat);
  EXPECT_EQ(same.bytes, matrix.bytes);
  EXPECT_EQ(same.scales, "");
  EXPECT_THAT(Row(matrix, 6),
              testing::ElementsAreArray(numbers.begin() + 30, numbers.end()));
}

TEST(WeightMatrixTest, Bf16IsTheNearest) {
  const Floats numbers = RandomFloats(50, 40);
  const ConvertedMatrix converted =
      ConvertMatrix(WeightMatrix::Of(numbers, 50, 40), Precision::kBf16);
  EXPECT_EQ(converted.bytes.size(), 50u * 40 * 2);
  EXPECT_EQ(converted.scales, "");
  const WeightMatrix matrix = Of(converted, Precision::kBf16, 50, 40);
  for (size_t r = 0; r < 50; ++r) {
    const Floats row = Row(matrix, r);
    for (size_t c = 0; c < 40; ++c) {
      const float expected = numbers[r * 40 + c];
      EXPECT_EQ(row[c], FromBf16(ToBf16(expected)));
      EXPECT_LE(std::abs(row[c] - expected), std::abs(expected) / 256);
    }
  }
}

TEST(WeightMatrixTest, Int8ErrorIsAtMostHalfAStep) {
  const Floats numbers = RandomFloats(50, 40);
  const ConvertedMatrix converted =
      ConvertMatrix(WeightMatrix::Of(numbers, 50, 40), Precision::kInt8);
  EXPECT_EQ(converted.bytes.size(), 50u * 40);
  EXPECT_EQ(converted.scales.size(), 50 * sizeof(float));
  const WeightMatrix matrix = Of(converted, Precision::kInt8, 50, 40);
  for (size_t r = 0; r < 50; ++r) {
    const Floats row = Row(matrix, r);
    float most = 0;
    for (size_t c = 0; c < 40; ++c) {
      most = std::max(most, std::abs(numbers[r * 40 + c]));
    }
    EXPECT_FLOAT_EQ(matrix.Scale(r), most / 127);
    int8_t largest = 0;
    for (size_t c = 0; c < 40; ++c) {
      EXPECT_NEAR(row[c], numbers[r * 40 + c], most / 127 / 2 * 1.0001);
      const auto steps = static_cast<int8_t>(converted.bytes[r * 40 + c]);
      largest = std::max<int8_t>(largest, std::abs(steps));
    }
    EXPECT_EQ(largest, 127);
  }
}

TEST(WeightMatrixTest, Int8ByHand) {
  const Floats numbers = {-1.27f, 0, 0.635f, 1, 0, 0, 0, 0, -254, 1, 2, 126};
  const ConvertedMatrix converted =
      ConvertMatrix(WeightMatrix::Of(numbers, 3, 4), Precision::kInt8);
  std::vector<int> steps;
  for (char c : converted.bytes) steps.push_back(static_cast<int8_t>(c));
  // 0.635 is 63.5 steps, which may be rounded either way.
  EXPECT_THAT(steps, ElementsAre(-127, 0, testing::AnyOf(63, 64), 100,  //
                                 0, 0, 0, 0,                            //
                                 -127, 0, 1, 63));
  const WeightMatrix matrix = Of(converted, Precision::kInt8, 3, 4);
  EXPECT_EQ(matrix.Scale(1), 0);
  EXPECT_THAT(Row(matrix, 1), ElementsAre(0, 0, 0, 0));
  EXPECT_THAT(Row(matrix, 2), ElementsAre(-254, 0, 2, 126));
}

// The numbers are so small that the scale is 0 or has few significant digits.
TEST(WeightMatrixTest, Int8OfTinyNumbers) {
  for (float most : {1e-45f, 1e-44f, 3e-43f, 1e-40f, 1e-38f}) {
    const Floats numbers = {most, -most, most / 2, 0};
    const ConvertedMatrix converted =
        ConvertMatrix(WeightMatrix::Of(numbers, 1, 4), Precision::kInt8);
    const Floats row = Row(Of(converted, Precision::kInt8, 1, 4), 0);
    for (size_t c = 0; c < 4; ++c) {
      EXPECT_LE(std::abs(row[c] - numbers[c]), most) << most;
    }
  }
}

TEST(WeightMatrixTest, RowsAreViews) {
  const Floats numbers = RandomFloats(9, 3);
  const WeightMatrix floats = WeightMatrix::Of(numbers, 9, 3);
  for (Precision precision :
       {Precision::kFloat, Precision::kBf16, Precision::kInt8}) {
    const ConvertedMatrix converted = ConvertMatrix(floats, precision);
    const WeightMatrix whole = Of(converted, precision, 9, 3);
    const WeightMatrix part = whole.Rows(4, 3);
    EXPECT_EQ(part.rows, 3u);
    EXPECT_EQ(part.cols, 3u);
    EXPECT_EQ(part.precision, precision);
    for (size_t r = 0; r < 3; ++r) {
      EXPECT_EQ(Row(part, r), Row(whole, 4 + r));
    }
    EXPECT_EQ(whole.Rows(9, 0).bytes, "");
  }
}

// In a file, the bytes of a matrix may be at an odd address.
TEST(WeightMatrixTest, NeedsNoAlignment) {
  const Floats numbers = RandomFloats(4, 3);
  for (Precision precision :
       {Precision::kFloat, Precision::kBf16, Precision::kInt8}) {
    const ConvertedMatrix converted =
        ConvertMatrix(WeightMatrix::Of(numbers, 4, 3), precision);
    const std::string bytes = "x" + converted.bytes;
    const std::string scales = "x" + converted.scales;
    const WeightMatrix aligned = Of(converted, precision, 4, 3);
    WeightMatrix shifted = aligned;
    shifted.bytes = absl::string_view(bytes).substr(1);
    shifted.scales = absl::string_view(scales).substr(1);
    for (size_t r = 0; r < 4; ++r) EXPECT_EQ(Row(shifted, r), Row(aligned, r));
  }
}

TEST(PrecisionTest, Names) {
  for (Precision precision :
       {Precision::kFloat, Precision::kBf16, Precision::kInt8}) {
    EXPECT_EQ(ParsePrecision(PrecisionName(precision)).value(), precision);
  }
  EXPECT_EQ(ParsePrecision("half").status().message(),
            "precision: expected float, bf16 or int8, found 'half'");
  EXPECT_EQ(PrecisionSize(Precision::kFloat), 4u);
  EXPECT_EQ(PrecisionSize(Precision::kBf16), 2u);
  EXPECT_EQ(PrecisionSize(Precision::kInt8), 1u);
}

}  // namespace
}  // namespace lmserve
