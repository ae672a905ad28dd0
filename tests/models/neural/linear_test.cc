// SPDX-License-Identifier: Apache-2.0
//
// Products with packed weights must be close to a naive product in double, and
// each row must have the same bits in any batch. CMakeLists.txt also runs these
// tests with fewer instruction sets, where oneDNN has no suitable kernel and
// Linear uses a fallback.

#include "models/neural/linear.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <ostream>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace lmserve {
namespace {

constexpr size_t kRows = 130;

using Floats = std::vector<float>;

struct Case {
  Precision precision;
  size_t inputs, outputs;
  bool has_bias;

  friend void PrintTo(const Case& c, std::ostream* out) {
    *out << PrecisionName(c.precision) << " " << c.inputs << "x" << c.outputs;
  }
};

class LinearTest : public testing::TestWithParam<Case> {
 protected:
  LinearTest() {
    const auto [precision, inputs, outputs, has_bias] = GetParam();
    const Floats floats = Uniform(outputs * inputs, 0.7f);
    converted_ =
        ConvertMatrix(WeightMatrix::Of(floats, outputs, inputs), precision);
    weights_.precision = precision;
    weights_.rows = outputs;
    weights_.cols = inputs;
    weights_.bytes = converted_.bytes;
    weights_.scales = converted_.scales;
    if (has_bias) bias_ = Uniform(outputs, 1);
    linear_ = Linear::Create(weights_, bias_).value();
    x_ = Uniform(kRows * inputs, 1);
    // Rows of different magnitudes, and one of zeros.
    for (size_t r = 0; r < kRows; ++r) {
      const float factor = r == 3 ? 0 : r % 5 == 0 ? 30 : 1;
      for (size_t k = 0; k < inputs; ++k) x_[r * inputs + k] *= factor;
    }
  }

  Floats Uniform(size_t n, float range) {
    std::uniform_real_distribution<float> uniform(-range, range);
    Floats numbers(n);
    for (float& x : numbers) x = uniform(random_);
    return numbers;
  }

  size_t inputs() const { return GetParam().inputs; }
  size_t outputs() const { return GetParam().outputs; }

  Floats Apply(const float* x, size_t rows, LinearScratch* scratch) const {
    Floats y(rows * outputs());
    linear_->Apply(x, rows, y.data(), scratch);
    return y;
  }

  // Returns how far y may be from the exact product with x.
  double Tolerance(const float* x, const Floats& w, double bias) const {
    double sum = std::abs(bias), of_weights = 0, most = 0;
    for (size_t k = 0; k < inputs(); ++k) {
      sum += std::abs(double{x[k]} * w[k]);
      of_weights += std::abs(w[k]);
      most = std::max(most, std::abs(double{x[k]}));
    }
    switch (GetParam().precision) {
      case Precision::kFloat:
        return 1e-6 * sum;
      case Precision::kBf16:  // x may be rounded to 8 bits
        return (1e-6 + 0x1p-8) * sum;
      case Precision::kInt8:  // x may be rounded to 255 steps
        return 1e-6 * sum + most / 127 / 2 * of_weights;
    }
    return 0;
  }

  std::mt19937 random_{5};
  ConvertedMatrix converted_;
  WeightMatrix weights_;
  Floats bias_;
  std::unique_ptr<const Linear> linear_;
  Floats x_;
};

TEST_P(LinearTest, EqualsNaiveProduct) {
  ASSERT_EQ(linear_->inputs(), inputs());
  ASSERT_EQ(linear_->outputs(), outputs());
  LinearScratch scratch;
  const Floats y = Apply(x_.data(), kRows, &scratch);
  Floats w(inputs());
  for (size_t j = 0; j < outputs(); ++j) {
    weights_.CopyRow(j, w.data());
    const double bias = bias_.empty() ? 0 : bias_[j];
    for (size_t r = 0; r < kRows; ++r) {
      const float* x = &x_[r * inputs()];
      double sum = bias;
      for (size_t k = 0; k < inputs(); ++k) sum += double{x[k]} * w[k];
      ASSERT_NEAR(y[r * outputs() + j], sum, Tolerance(x, w, bias) + 1e-30)
          << "row " << r << ", output " << j;
    }
  }
}

// All products use one scratch, whose previous contents must not matter.
TEST_P(LinearTest, RowsHaveTheSameBitsInAnyBatch) {
  LinearScratch scratch;
  Floats alone;
  for (size_t r = 0; r < kRows; ++r) {
    const Floats y = Apply(&x_[r * inputs()], 1, &scratch);
    alone.insert(alone.end(), y.begin(), y.end());
  }
  for (size_t rows = 1; rows <= kRows; ++rows) {
    // A different first row for each size, so that rows change their position.
    const size_t first = (kRows - rows) / 2;
    const Floats y = Apply(&x_[first * inputs()], rows, &scratch);
    for (size_t r = 0; r < rows; ++r) {
      ASSERT_EQ(std::memcmp(&y[r * outputs()], &alone[(first + r) * outputs()],
                            outputs() * sizeof(float)),
                0)
          << "row " << r << " of " << rows;
    }
  }
}

TEST_P(LinearTest, ThreadsShareIt) {
  LinearScratch scratch;
  const Floats expected = Apply(x_.data(), kRows, &scratch);
  std::vector<Floats> found(4);
  std::vector<std::thread> threads;
  threads.reserve(found.size());
  for (Floats& mine : found) {
    threads.emplace_back([this, &mine] {
      LinearScratch own;
      for (int i = 0; i < 3; ++i) mine = Apply(x_.data(), kRows, &own);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const Floats& mine : found) EXPECT_EQ(mine, expected);
}

// A bias of -infinity gives an output of -infinity.
TEST_P(LinearTest, BiasOfMinusInfinity) {
  Floats bias(outputs());
  bias.back() = -std::numeric_limits<float>::infinity();
  linear_ = Linear::Create(weights_, bias).value();
  LinearScratch scratch;
  const Floats y = Apply(x_.data(), kRows, &scratch);
  for (size_t i = 0; i < y.size(); ++i) {
    if (i % outputs() + 1 == outputs()) {
      ASSERT_EQ(y[i], bias.back());
    } else {
      ASSERT_TRUE(std::isfinite(y[i]));
    }
  }
}

// Infinity or NaN in one row does not change other rows.
TEST_P(LinearTest, RowsThatAreNotFinite) {
  LinearScratch scratch;
  Floats x = x_;
  const Floats expected = Apply(x.data(), kRows, &scratch);
  x[inputs() * 2] = std::numeric_limits<float>::infinity();
  x[inputs() * 7] = std::numeric_limits<float>::quiet_NaN();
  x[inputs() * 9] = -std::numeric_limits<float>::max();
  const Floats found = Apply(x.data(), kRows, &scratch);
  for (size_t r = 0; r < kRows; ++r) {
    if (r == 2 || r == 7 || r == 9) continue;
    ASSERT_EQ(std::memcmp(&found[r * outputs()], &expected[r * outputs()],
                          outputs() * sizeof(float)),
              0)
        << r;
  }
}

std::vector<Case> Cases() {
  std::vector<Case> cases;
  for (Precision precision :
       {Precision::kFloat, Precision::kBf16, Precision::kInt8}) {
    for (const auto& [inputs, outputs] :
         std::vector<std::pair<size_t, size_t>>{{1, 1},
                                                {1, 40},
                                                {7, 3},
                                                {16, 16},
                                                {33, 50},
                                                {64, 130},
                                                {65, 1},
                                                {200, 67},
                                                {300, 257},
                                                {650, 100}}) {
      cases.push_back({precision, inputs, outputs, true});
    }
    cases.push_back({precision, 20, 60, false});
  }
  return cases;
}

INSTANTIATE_TEST_SUITE_P(Shapes, LinearTest, testing::ValuesIn(Cases()),
                         [](const auto& info) {
                           const Case& c = info.param;
                           return absl::StrCat(PrecisionName(c.precision), "_",
                                               c.inputs, "x", c.outputs,
                                               c.has_bias ? "" : "_unbiased");
                         });

}  // namespace
}  // namespace lmserve
