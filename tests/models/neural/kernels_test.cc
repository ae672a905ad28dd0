// SPDX-License-Identifier: Apache-2.0
//
// Compares the elementwise functions with those of the standard library in
// double, for each instruction set that this processor supports.

#include "models/neural/kernels.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "hwy/highway.h"

namespace lmserve {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr double kTolerance = 1e-6;  // absolute, or relative above 1
constexpr size_t kSizes = 70;        // more than four of the widest vectors

using Floats = std::vector<float>;

double Sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

double Apply(Activation f, double x) {
  switch (f) {
    case Activation::kSigmoid:
      return Sigmoid(x);
    case Activation::kTanh:
      return std::tanh(x);
    case Activation::kRelu:
      return std::max(x, 0.0);
  }
  return x;
}

bool SameBits(absl::Span<const float> a, absl::Span<const float> b) {
  return a.size() == b.size() &&
         std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// Computes ln sum_i exp(x_i) in double.
double NaiveLogSumExp(absl::Span<const float> x) {
  const double max = *std::max_element(x.begin(), x.end());
  if (max == -kInfinity) return -kInfinity;
  double sum = 0;
  for (float value : x) sum += std::exp(value - max);
  return max + std::log(sum);
}

// The parameter is the instruction set: a target of Highway.
class KernelsTest : public testing::TestWithParam<int64_t> {
 protected:
  void SetUp() override { Choose(GetParam()); }
  void TearDown() override { Choose(0); }

  static void Choose(int64_t target) {
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  }

  // Returns random numbers in [-range, range).
  Floats Uniform(size_t n, float range) {
    std::uniform_real_distribution<float> uniform(-range, range);
    Floats x(n);
    for (float& value : x) value = uniform(random_);
    return x;
  }

  // Returns inputs of gates: most are of typical size, one in three is extreme.
  Floats Sums(size_t n) {
    const Floats extremes = {0,    -0.0f,     20,    -20,   80,        -80,
                             88.5, -88.5,     100,   -100,  170,       -170,
                             200,  -200,      1000,  -1000, 1e9,       -1e30,
                             1e30, kInfinity, 1e-30, 1e-42, -kInfinity};
    Floats x = Uniform(n, 6);
    for (size_t i = random_() % 3; i < n; i += 3) {
      x[i] = extremes[random_() % extremes.size()];
    }
    return x;
  }

  static void ExpectNear(absl::Span<const float> found,
                         const std::vector<double>& expected) {
    ASSERT_EQ(found.size(), expected.size());
    for (size_t i = 0; i < found.size(); ++i) {
      if (double{found[i]} == expected[i]) continue;  // infinities, too
      ASSERT_NEAR(found[i], expected[i],
                  kTolerance * std::max(1.0, std::abs(expected[i])))
          << i << " of " << found.size();
    }
  }

  std::mt19937 random_{1};
};

TEST_P(KernelsTest, RnnCell) {
  for (Activation f :
       {Activation::kSigmoid, Activation::kTanh, Activation::kRelu}) {
    for (size_t n = 1; n <= kSizes; ++n) {
      const Floats input = Sums(n), recurrent = Uniform(n, 3);
      std::vector<double> expected(n);
      for (size_t i = 0; i < n; ++i) {
        expected[i] = Apply(f, input[i] + recurrent[i]);
      }
      Floats h(n);
      RnnCell(f, n, input.data(), recurrent.data(), h.data());
      ExpectNear(h, expected);
      // h may be the same array as either input.
      Floats over_input = input, over_recurrent = recurrent;
      RnnCell(f, n, over_input.data(), recurrent.data(), over_input.data());
      RnnCell(f, n, input.data(), over_recurrent.data(), over_recurrent.data());
      ASSERT_TRUE(SameBits(over_input, h));
      ASSERT_TRUE(SameBits(over_recurrent, h));
    }
  }
}

TEST_P(KernelsTest, LstmCell) {
  for (size_t n = 1; n <= kSizes; ++n) {
    const Floats input = Sums(4 * n), recurrent = Uniform(4 * n, 3);
    const Floats old_c = Uniform(n, 4);
    std::vector<double> gates(4 * n), c(n), h(n);
    for (size_t k = 0; k < n; ++k) {
      for (size_t gate = 0; gate < 4; ++gate) {
        const size_t at = gate * n + k;
        const double sum = input[at] + recurrent[at];
        gates[at] = gate == 2 ? std::tanh(sum) : Sigmoid(sum);
      }
      c[k] = gates[n + k] * old_c[k] + gates[k] * gates[2 * n + k];
      h[k] = gates[3 * n + k] * std::tanh(c[k]);
    }
    Floats found_gates(4 * n), found_c(n), found_h(n);
    LstmCell(n, input.data(), recurrent.data(), old_c.data(),
             found_gates.data(), found_c.data(), found_h.data());
    ExpectNear(found_gates, gates);
    ExpectNear(found_c, c);
    ExpectNear(found_h, h);
    // c may be old_c, and gates may be input or null.
    Floats input_and_gates = input, both_c = old_c, again_h(n);
    LstmCell(n, input_and_gates.data(), recurrent.data(), both_c.data(),
             input_and_gates.data(), both_c.data(), again_h.data());
    ASSERT_TRUE(SameBits(input_and_gates, found_gates));
    ASSERT_TRUE(SameBits(both_c, found_c));
    ASSERT_TRUE(SameBits(again_h, found_h));
    LstmCell(n, input.data(), recurrent.data(), old_c.data(), nullptr,
             both_c.data(), again_h.data());
    ASSERT_TRUE(SameBits(both_c, found_c));
    ASSERT_TRUE(SameBits(again_h, found_h));
  }
}

TEST_P(KernelsTest, GruCell) {
  for (size_t n = 1; n <= kSizes; ++n) {
    const Floats input = Sums(3 * n), recurrent = Uniform(3 * n, 2);
    const Floats old_h = Uniform(n, 1);
    std::vector<double> gates(3 * n), h(n);
    for (size_t k = 0; k < n; ++k) {
      const double r = Sigmoid(input[k] + recurrent[k]);
      const double z = Sigmoid(input[n + k] + recurrent[n + k]);
      const double candidate =
          std::tanh(input[2 * n + k] + r * recurrent[2 * n + k]);
      gates[k] = r;
      gates[n + k] = z;
      gates[2 * n + k] = candidate;
      h[k] = (1 - z) * candidate + z * old_h[k];
    }
    Floats found_gates(3 * n), found_h(n);
    GruCell(n, input.data(), recurrent.data(), old_h.data(), found_gates.data(),
            found_h.data());
    ExpectNear(found_gates, gates);
    ExpectNear(found_h, h);
    // h may be old_h, and gates may be input or null.
    Floats input_and_gates = input, both_h = old_h;
    GruCell(n, input_and_gates.data(), recurrent.data(), both_h.data(),
            input_and_gates.data(), both_h.data());
    ASSERT_TRUE(SameBits(input_and_gates, found_gates));
    ASSERT_TRUE(SameBits(both_h, found_h));
    both_h = old_h;
    GruCell(n, input.data(), recurrent.data(), both_h.data(), nullptr,
            both_h.data());
    ASSERT_TRUE(SameBits(both_h, found_h));
  }
}

// NaN must reach the output, so that a broken network is noticed.
TEST_P(KernelsTest, CellsKeepNan) {
  for (size_t n = 1; n <= 20; ++n) {
    const Floats nan(4 * n, kNan), zero(4 * n);
    Floats h(n), c(n), gates(4 * n);
    for (Activation f :
         {Activation::kSigmoid, Activation::kTanh, Activation::kRelu}) {
      RnnCell(f, n, zero.data(), nan.data(), h.data());
      for (float value : h) ASSERT_TRUE(std::isnan(value));
    }
    for (size_t gate = 0; gate < 4; ++gate) {
      Floats input = zero;
      std::fill_n(input.begin() + gate * n, n, kNan);
      LstmCell(n, input.data(), zero.data(), zero.data(), gates.data(),
               c.data(), h.data());
      for (float value : h) ASSERT_TRUE(std::isnan(value)) << gate;
      if (gate == 3) continue;
      GruCell(n, input.data(), zero.data(), zero.data(), gates.data(),
              h.data());
      for (size_t k = 0; k < n; ++k) {
        ASSERT_TRUE(std::isnan(gates[gate * n + k])) << gate;
        ASSERT_TRUE(std::isnan(h[k])) << gate;
      }
    }
  }
}

TEST_P(KernelsTest, TanhInPlace) {
  for (size_t n = 1; n <= kSizes; ++n) {
    Floats x = Sums(n);
    const std::vector<double> before(x.begin(), x.end());
    TanhInPlace(absl::MakeSpan(x));
    std::vector<double> expected;
    expected.reserve(before.size());
    for (double value : before) expected.push_back(std::tanh(value));
    ExpectNear(x, expected);
  }
}

// For small numbers, where tanh(x) is close to x, the relative error is small.
TEST_P(KernelsTest, TanhOfSmallNumbers) {
  Floats x = {1e-7f, -1e-7f, 1e-12f, -1e-30f, 3e-5f,  1e-3f, -1e-2f,
              0.1f,  0.3f,   0.34f,  0.35f,   -0.36f, 0.5f,  1e-38f};
  const Floats before = x;
  TanhInPlace(absl::MakeSpan(x));
  for (size_t i = 0; i < x.size(); ++i) {
    const double expected = std::tanh(double{before[i]});
    EXPECT_NEAR(x[i], expected, 1e-6 * std::abs(expected));
  }
}

TEST_P(KernelsTest, LogSoftmaxInBlocksOfAnySize) {
  for (size_t n = 1; n <= kSizes; ++n) {
    for (float shift : {0.0f, 500.0f, -500.0f}) {
      Floats x = Uniform(n, 8);
      for (float& value : x) value += shift;
      for (size_t i = 0; i < n; i += 7) x[i] = -kInfinity;
      const double log_sum = NaiveLogSumExp(x);
      if (log_sum == -kInfinity) continue;  // nothing is possible
      for (size_t block : {size_t{1}, size_t{5}, size_t{16}, n}) {
        LogSoftmax softmax;
        for (size_t i = 0; i < n; i += block) {
          softmax.Add(absl::MakeConstSpan(x).subspan(i, block));
        }
        for (float value : x) {
          ExpectNear({softmax.result()(value)}, {value - log_sum});
        }
      }
    }
  }
}

TEST_P(KernelsTest, LogSoftmaxOfInfinities) {
  LogSoftmax softmax;
  softmax.Add({});
  softmax.Add({-kInfinity});
  softmax.Add(Floats(40, -kInfinity));
  softmax.Add({3});
  softmax.Add({-kInfinity, -kInfinity});
  EXPECT_EQ(softmax.result()(3), 0);
  EXPECT_EQ(softmax.result()(-kInfinity), -kInfinity);
}

// Blocks whose numbers are far above or far below those before.
TEST_P(KernelsTest, LogSoftmaxOfDistantBlocks) {
  for (const Floats& x :
       {Floats{-300, 300}, Floats{300, -300}, Floats{1e30f, -1e30f},
        Floats{0, 90, 180, 90, 0}, Floats{-1e4f, -1e4f}}) {
    LogSoftmax softmax;
    for (float value : x) softmax.Add({value});
    for (float value : x) {
      ExpectNear({softmax.result()(value)}, {value - NaiveLogSumExp(x)});
    }
  }
}

// The log-probability of a nearly certain word has all of its digits, wherever
// the word is and however large the numbers are.
TEST_P(KernelsTest, LogSoftmaxNearZero) {
  for (size_t n : {2, 5, 16, 17, 100}) {
    for (float margin : {1.0f, 10.0f, 20.0f, 40.0f, 80.0f}) {
      for (size_t at : {size_t{0}, n / 2, n - 1}) {
        Floats x(n, 1000 - margin);
        x[at] = 1000;
        const double rest =
            static_cast<double>(n - 1) * std::exp(-double{margin});
        const double expected = -std::log1p(rest);
        for (size_t block : {size_t{1}, n}) {
          LogSoftmax softmax;
          for (size_t i = 0; i < n; i += block) {
            softmax.Add(absl::MakeConstSpan(x).subspan(i, block));
          }
          EXPECT_NEAR(softmax.result()(x[at]), expected, -1e-6 * expected);
        }
      }
    }
  }
}

TEST_P(KernelsTest, LogSoftmaxOfSeveralLargest) {
  LogSoftmax softmax;
  softmax.Add(Floats(20, 7));
  softmax.Add({7, -100});
  EXPECT_FLOAT_EQ(softmax.result()(7), std::log(1.0 / 21));
}

TEST_P(KernelsTest, SoftmaxInPlace) {
  for (size_t n = 1; n <= kSizes; ++n) {
    Floats x = Uniform(n, 10);
    if (n > 3) x[n / 2] = x[n - 1] = -kInfinity;
    const double log_sum = NaiveLogSumExp(x);
    std::vector<double> expected;
    for (float value : x) expected.push_back(std::exp(value - log_sum));
    const float found = SoftmaxInPlace(absl::MakeSpan(x));
    ExpectNear({found}, {log_sum});
    ExpectNear(x, expected);
    if (n > 3) {
      EXPECT_EQ(x[n / 2], 0);
      EXPECT_EQ(x[n - 1], 0);
    }
  }
}

TEST_P(KernelsTest, SoftmaxOfLargeNumbers) {
  Floats x = {1e4f, 1e4f, -1e4f};
  EXPECT_FLOAT_EQ(SoftmaxInPlace(absl::MakeSpan(x)), 1e4f + std::log(2.0f));
  EXPECT_EQ(x, (Floats{0.5, 0.5, 0}));
}

TEST_P(KernelsTest, RoundToSteps) {
  for (size_t n = 1; n <= kSizes; ++n) {
    const Floats x = Uniform(n, 3);
    float most = 0;
    for (float value : x) most = std::max(most, std::abs(value));
    std::vector<uint8_t> steps(n);
    EXPECT_EQ(RoundToSteps(n, x.data(), steps.data()), most / 127);
    for (size_t i = 0; i < n; ++i) {
      const double multiple = double{x[i]} * 127 / most;
      ASSERT_NEAR(steps[i] - kZeroStep, multiple, 0.5001) << i << " of " << n;
    }
  }
}

TEST_P(KernelsTest, RoundToStepsOfZeros) {
  const Floats x(37);
  std::vector<uint8_t> steps(x.size());
  EXPECT_EQ(RoundToSteps(x.size(), x.data(), steps.data()), 0);
  for (uint8_t step : steps) ASSERT_EQ(step, kZeroStep);
}

// At each position, because the last numbers are not a whole vector.
TEST_P(KernelsTest, RoundToStepsOfExtremes) {
  constexpr float kLargest = std::numeric_limits<float>::max();
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  constexpr size_t n = 37;
  for (size_t i = 0; i < n; ++i) {
    Floats x = Uniform(n, 3);
    std::vector<uint8_t> steps(n);
    x[i] = -kLargest;
    EXPECT_EQ(RoundToSteps(n, x.data(), steps.data()), kLargest / 127);
    EXPECT_EQ(steps[i], kZeroStep - 127);
    x[i] = kNan;
    EXPECT_TRUE(std::isfinite(RoundToSteps(n, x.data(), steps.data())));
    EXPECT_EQ(steps[i], kZeroStep + 127);
    x[i] = kInfinity;
    EXPECT_EQ(RoundToSteps(n, x.data(), steps.data()), kInfinity);
    EXPECT_EQ(steps[i], kZeroStep + 127);
  }
}

TEST_P(KernelsTest, SumsToFloats) {
  std::uniform_int_distribution<int32_t> integers(-10'000'000, 10'000'000);
  for (size_t n = 1; n <= kSizes; ++n) {
    std::vector<int32_t> sums(n), zeros(n);
    for (int32_t& sum : sums) sum = integers(random_);
    for (int32_t& zero : zeros) zero = integers(random_);
    const Floats scales = Uniform(n, 0.01), bias = Uniform(n, 1);
    std::vector<double> expected(n);
    for (size_t i = 0; i < n; ++i) {
      expected[i] = double{0.25} * (sums[i] - zeros[i]) * scales[i] + bias[i];
    }
    Floats y(n);
    SumsToFloats(n, sums.data(), zeros.data(), 0.25, scales.data(), bias.data(),
                 y.data());
    ExpectNear(y, expected);
  }
}

TEST_P(KernelsTest, SumOfSquares) {
  std::vector<size_t> sizes = {0, 4095, 4096, 4097, 100'000};
  for (size_t n = 1; n <= kSizes; ++n) sizes.push_back(n);
  for (size_t n : sizes) {
    const Floats x = Uniform(n, 2);
    double expected = 0;
    for (float value : x) expected += double{value} * value;
    EXPECT_NEAR(SumOfSquares(x), expected, 1e-6 * expected) << n;
  }
}

TEST_P(KernelsTest, MultiplyPanels) {
  for (size_t panels = 1; panels <= 3; ++panels) {
    for (size_t inputs : {1, 2, 3, 8, 17, 40}) {
      for (size_t rows = 1; rows <= 11; ++rows) {
        const size_t outputs = 16 * panels;
        const Floats x = Uniform(rows * inputs, 1);
        const Floats packed = Uniform(outputs * inputs, 1);
        const Floats before = Uniform(rows * outputs, 1);
        Floats y = before;
        MultiplyPanels(x.data(), rows, inputs, packed.data(), panels, y.data());
        for (size_t r = 0; r < rows; ++r) {
          for (size_t j = 0; j < outputs; ++j) {
            const float* w = &packed[j / 16 * 16 * inputs + j % 16];
            double sum = before[r * outputs + j], size = std::abs(sum);
            for (size_t k = 0; k < inputs; ++k) {
              sum += double{x[r * inputs + k]} * w[16 * k];
              size += std::abs(double{x[r * inputs + k]} * w[16 * k]);
            }
            ASSERT_NEAR(y[r * outputs + j], sum, 1e-6 * size);
          }
          // The bits of a row do not depend on the other rows.
          Floats alone(before.begin() + r * outputs,
                       before.begin() + (r + 1) * outputs);
          MultiplyPanels(&x[r * inputs], 1, inputs, packed.data(), panels,
                         alone.data());
          ASSERT_TRUE(SameBits(
              alone, absl::MakeConstSpan(y).subspan(r * outputs, outputs)));
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Processors, KernelsTest,
                         testing::ValuesIn(hwy::SupportedAndGeneratedTargets()),
                         [](const auto& info) {
                           return std::string(hwy::TargetName(info.param));
                         });

}  // namespace
}  // namespace lmserve
