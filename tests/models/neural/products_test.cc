// SPDX-License-Identifier: Apache-2.0
#include "models/neural/products.h"

#include <cstddef>
#include <random>
#include <vector>

#include "gtest/gtest.h"
#include "models/neural/weight_matrix.h"

namespace lmserve {
namespace {

constexpr auto kNo = Transpose::kNo, kYes = Transpose::kYes;

struct Matrix {
  Matrix(size_t rows, size_t cols, size_t stride)
      : rows(rows), cols(cols), stride(stride), values(rows * stride) {}

  MatrixView<float> View() { return {values.data(), rows, cols, stride}; }
  float Get(Transpose transpose, size_t i, size_t j) const {
    return transpose == kNo ? values[i * stride + j] : values[j * stride + i];
  }

  size_t rows, cols, stride;
  std::vector<float> values;
};

Matrix MakeMatrix(Transpose transpose, size_t rows, size_t cols, size_t padding,
                  std::mt19937* random) {
  Matrix matrix(transpose == kNo ? rows : cols, transpose == kNo ? cols : rows,
                (transpose == kNo ? cols : rows) + padding);
  for (float& value : matrix.values) {
    value = std::uniform_real_distribution<float>(-0.5f, 0.5f)(*random);
  }
  return matrix;
}

float RoundToBf16(float value) { return FromBf16(ToBf16(value)); }

// The product of rounded operands, summed in double.
Matrix NaiveProduct(Transpose transpose_a, Transpose transpose_b,
                    const Matrix& a, const Matrix& b, float beta, Matrix c) {
  const size_t inner = transpose_a == kNo ? a.cols : a.rows;
  for (size_t i = 0; i < c.rows; ++i) {
    for (size_t j = 0; j < c.cols; ++j) {
      double sum = beta * double{c.Get(kNo, i, j)};
      for (size_t k = 0; k < inner; ++k) {
        sum += double{RoundToBf16(a.Get(transpose_a, i, k))} *
               RoundToBf16(b.Get(transpose_b, k, j));
      }
      c.values[i * c.stride + j] = static_cast<float>(sum);
    }
  }
  return c;
}

void ExpectNear(const Matrix& expected, const Matrix& found) {
  for (size_t i = 0; i < expected.values.size(); ++i) {
    ASSERT_NEAR(expected.values[i], found.values[i], 2e-4) << "at " << i;
  }
}

class ProductsTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!HasBf16Products()) GTEST_SKIP() << "the processor has no bf16";
  }

  std::mt19937 random_{1};
};

TEST_F(ProductsTest, EqualsANaiveReferenceInAllForms) {
  Products<float> products(ProductPrecision::kBf16);
  for (const Transpose transpose_a : {kNo, kYes}) {
    for (const Transpose transpose_b : {kNo, kYes}) {
      for (const float beta : {0.0f, 1.0f}) {
        for (const size_t rows : {16, 20, 64, 111}) {
          // The strides are larger than the rows.
          Matrix a = MakeMatrix(transpose_a, rows, 70, 3, &random_);
          Matrix b = MakeMatrix(transpose_b, 70, 50, 5, &random_);
          Matrix c = MakeMatrix(kNo, rows, 50, 7, &random_);
          const Matrix expected =
              NaiveProduct(transpose_a, transpose_b, a, b, beta, c);
          products.Gemm(transpose_a, transpose_b, a.View(), b.View(), beta,
                        c.View());
          ExpectNear(expected, c);
        }
      }
    }
  }
}

TEST_F(ProductsTest, AnOperandServesSeveralProducts) {
  Products<float> products(ProductPrecision::kBf16);
  Matrix b = MakeMatrix(kYes, 40, 90, 0, &random_);
  const auto operand = products.Prepare(kYes, b.View(), 20);
  for (const size_t rows : {20, 20, 33}) {  // 33 needs another packing, perhaps
    Matrix a = MakeMatrix(kNo, rows, 40, 0, &random_);
    Matrix c = MakeMatrix(kNo, rows, 90, 0, &random_);
    const Matrix expected = NaiveProduct(kNo, kYes, a, b, 1, c);
    products.Gemm(kNo, a.View(), operand, 1, c.View());
    ExpectNear(expected, c);
  }
}

// Small products are float, and so are all others without bf16.
TEST_F(ProductsTest, FloatProductsAreThoseOfGemm) {
  struct Case {
    ProductPrecision precision;
    size_t rows, inner, cols;
  };
  for (const Case& c : {Case{ProductPrecision::kBf16, 5, 70, 50},
                        Case{ProductPrecision::kBf16, 70, 5, 50},
                        Case{ProductPrecision::kBf16, 70, 50, 5},
                        Case{ProductPrecision::kFloat, 70, 50, 30}}) {
    Products<float> products(c.precision);
    Matrix a = MakeMatrix(kNo, c.rows, c.inner, 0, &random_);
    Matrix b = MakeMatrix(kNo, c.inner, c.cols, 0, &random_);
    Matrix expected(c.rows, c.cols, c.cols), found(c.rows, c.cols, c.cols);
    Gemm(kNo, kNo, a.View(), b.View(), 0, expected.View());
    products.Gemm(kNo, kNo, a.View(), b.View(), 0, found.View());
    EXPECT_EQ(expected.values, found.values);
  }
}

TEST_F(ProductsTest, PadsRowsOnlyForCompiledProducts) {
  EXPECT_EQ(Products<float>(ProductPrecision::kFloat).PaddedRows(65), 65);
  EXPECT_EQ(Products<float>(ProductPrecision::kBf16).PaddedRows(64), 64);
  EXPECT_EQ(Products<float>(ProductPrecision::kBf16).PaddedRows(65), 128);
}

}  // namespace
}  // namespace lmserve
