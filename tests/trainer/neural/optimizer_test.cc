// SPDX-License-Identifier: Apache-2.0
#include "trainer/neural/optimizer.h"

#include <cmath>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lmserve {
namespace {

using Floats = std::vector<float>;

// Returns a layout of a matrix of 6 numbers, a vector of 3 and a matrix of 2.
ParameterLayout MakeLayout() {
  ParameterLayout layout;
  layout.AddMatrix("a", 2, 3);
  layout.AddVector("b", 3);
  layout.AddMatrix("c", 1, 2);
  return layout;
}

bool IsMatrix(size_t i) { return i < 6 || i >= 9; }

const Floats kValues = {1, -2, 3, 0.5, 0, 7, -1, 2, 0.25, 100, -3};
const Floats kGradients = {0.5, -1, 0, 2, 1e-4f, -3, 1, 0.1f, -0.2f, 40, 1e-8f};

void ExpectNear(const Floats& found, const std::vector<double>& expected) {
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < found.size(); ++i) {
    EXPECT_NEAR(found[i], expected[i], 1e-6 * (1 + std::abs(expected[i]))) << i;
  }
}

TEST(OptimizerTest, SgdByHand) {
  const ParameterLayout layout = MakeLayout();
  Optimizer optimizer(OptimizerKind::kSgd, 0, layout);
  EXPECT_THAT(optimizer.moments(), testing::IsEmpty());
  Floats values = kValues;
  optimizer.Step({0.1, 1, 1}, kGradients.data(), 0, values.size(),
                 values.data());
  EXPECT_FLOAT_EQ(values[0], 1 - 0.1 * 0.5);
  EXPECT_FLOAT_EQ(values[1], -2 + 0.1 * 1);
  EXPECT_EQ(values[2], 3);
  EXPECT_FLOAT_EQ(values[9], 100 - 0.1 * 40);
}

// Clipping scales the step.
TEST(OptimizerTest, SgdOfAClippedGradient) {
  const ParameterLayout layout = MakeLayout();
  Optimizer optimizer(OptimizerKind::kSgd, 0, layout);
  Floats values = kValues;
  optimizer.Step({2, 0.25, 1}, kGradients.data(), 0, values.size(),
                 values.data());
  std::vector<double> expected;
  for (size_t i = 0; i < kValues.size(); ++i) {
    expected.push_back(kValues[i] - 0.5 * kGradients[i]);
  }
  ExpectNear(values, expected);
}

TEST(OptimizerTest, WeightDecayAppliesToMatricesOnly) {
  const ParameterLayout layout = MakeLayout();
  Optimizer optimizer(OptimizerKind::kSgd, 0.5, layout);
  Floats values = kValues;
  // Clipping does not change the decay.
  optimizer.Step({0.1, 0.5, 1}, kGradients.data(), 0, values.size(),
                 values.data());
  std::vector<double> expected;
  for (size_t i = 0; i < kValues.size(); ++i) {
    const double kept = IsMatrix(i) ? 1 - 0.1 * 0.5 : 1;
    expected.push_back(kept * kValues[i] - 0.05 * kGradients[i]);
  }
  ExpectNear(values, expected);
}

// Adam as in Kingma and Ba 2015, in double precision.
class NaiveAdam {
 public:
  void Step(double rate, double factor, double decay, const Floats& gradients,
            std::vector<double>* values) {
    mean_.resize(values->size());
    square_.resize(values->size());
    ++step_;
    for (size_t i = 0; i < values->size(); ++i) {
      const double g = factor * gradients[i];
      mean_[i] = 0.9 * mean_[i] + 0.1 * g;
      square_[i] = 0.999 * square_[i] + 0.001 * g * g;
      const double mean = mean_[i] / (1 - std::pow(0.9, step_));
      const double square = square_[i] / (1 - std::pow(0.999, step_));
      if (IsMatrix(i)) (*values)[i] *= 1 - rate * decay;
      (*values)[i] -= rate * mean / (std::sqrt(square) + 1e-8);
    }
  }

 private:
  int step_ = 0;
  std::vector<double> mean_, square_;
};

TEST(OptimizerTest, AdamMeansByHand) {
  const ParameterLayout layout = MakeLayout();
  Optimizer optimizer(OptimizerKind::kAdam, 0, layout);
  Floats values = kValues;
  optimizer.Step({0.1, 1, 1}, kGradients.data(), 0, values.size(),
                 values.data());
  EXPECT_FLOAT_EQ(optimizer.moments()[0][0], 0.1 * 0.5);
  EXPECT_FLOAT_EQ(optimizer.moments()[1][0], 0.001 * 0.5 * 0.5);
}

TEST(OptimizerTest, AdamByEquations) {
  const ParameterLayout layout = MakeLayout();
  for (double decay : {0.0, 0.3}) {
    Optimizer optimizer(OptimizerKind::kAdam, decay, layout);
    NaiveAdam naive;
    Floats values = kValues;
    std::vector<double> expected(kValues.begin(), kValues.end());
    for (uint64_t step = 1; step <= 40; ++step) {
      Floats gradients = kGradients;
      for (size_t i = 0; i < gradients.size(); ++i) {
        gradients[i] *= static_cast<float>((step * 7 + i) % 5) - 1.5f;
      }
      const double rate = step < 20 ? 0.01 : 0.002;
      const double factor = step % 3 == 0 ? 0.5 : 1;
      optimizer.Step({rate, factor, step}, gradients.data(), 0, values.size(),
                     values.data());
      naive.Step(rate, factor, decay, gradients, &expected);
    }
    for (size_t i = 0; i < values.size(); ++i) {
      EXPECT_NEAR(values[i], expected[i], 2e-5 * (1 + std::abs(expected[i])))
          << i;
    }
  }
}

// What Skip() does at once equals steps with gradients of 0.
TEST(OptimizerTest, SkippedSteps) {
  const ParameterLayout layout = MakeLayout();
  for (OptimizerKind kind : {OptimizerKind::kSgd, OptimizerKind::kAdam}) {
    for (uint64_t before : {1, 2, 30}) {
      for (uint64_t count : {1, 2, 20, 159, 161, 500}) {
        Optimizer stepping(kind, 0, layout), skipping(kind, 0, layout);
        Floats expected = kValues, found = kValues;
        const auto rate = [](uint64_t step) {
          return 0.01 / (1 + 0.01 * step);
        };
        for (uint64_t step = 1; step <= before; ++step) {
          for (auto [optimizer, values] :
               {std::pair{&stepping, &expected}, {&skipping, &found}}) {
            optimizer->Step({rate(step), 1, step}, kGradients.data(), 0,
                            values->size(), values->data());
          }
        }
        const Floats zeros(kValues.size());
        std::vector<double> rates;
        for (uint64_t step = before + 1; step <= before + count; ++step) {
          rates.push_back(Optimizer::SkippedRate(rate(step), step));
          stepping.Step({rate(step), 1, step}, zeros.data(), 0, expected.size(),
                        expected.data());
        }
        skipping.Skip(before, rates, 0, found.size(), found.data());
        for (size_t i = 0; i + 1 < found.size(); ++i) {
          EXPECT_NEAR(found[i], expected[i], 1e-5 * (1 + std::abs(expected[i])))
              << i << ", " << before << " + " << count;
        }
        // The last gradient is epsilon, whose factor is that of one step.
        EXPECT_NEAR(found.back(), expected.back(), 0.01);
        ASSERT_EQ(skipping.moments().size(), stepping.moments().size());
        for (size_t m = 0; m < skipping.moments().size(); ++m) {
          for (size_t i = 0; i < found.size(); ++i) {
            EXPECT_NEAR(skipping.moments()[m][i], stepping.moments()[m][i],
                        1e-5 * std::abs(stepping.moments()[m][i]) + 1e-12);
          }
        }
      }
    }
  }
}

// The size of the first step is the learning rate, for any size of the
// gradient.
TEST(OptimizerTest, AdamFirstStepByHand) {
  const ParameterLayout layout = MakeLayout();
  Optimizer optimizer(OptimizerKind::kAdam, 0, layout);
  Floats values = kValues;
  optimizer.Step({0.01, 1, 1}, kGradients.data(), 0, values.size(),
                 values.data());
  EXPECT_NEAR(values[0], 1 - 0.01, 1e-6);
  EXPECT_NEAR(values[1], -2 + 0.01, 1e-6);
  EXPECT_EQ(values[2], 3);
  EXPECT_NEAR(values[9], 100 - 0.01, 1e-5);
  // For a gradient of 1e-8, which is epsilon, the step is half as large.
  EXPECT_NEAR(values[10], -3 - 0.005, 1e-6);
}

// Threads update separate ranges.
TEST(OptimizerTest, RangesAddUpToTheWhole) {
  const ParameterLayout layout = MakeLayout();
  for (OptimizerKind kind : {OptimizerKind::kSgd, OptimizerKind::kAdam}) {
    Optimizer whole(kind, 0.1, layout), parts(kind, 0.1, layout);
    Floats expected = kValues, found = kValues;
    for (uint64_t step = 1; step <= 5; ++step) {
      const Optimizer::Rate rate = {0.05, 0.5, step};
      whole.Step(rate, kGradients.data(), 0, expected.size(), expected.data());
      // Bounds within and between parameters; one range is empty.
      const size_t bounds[] = {0, 4, 4, 9, 10, 11};
      for (size_t i = 0; i + 1 < std::size(bounds); ++i) {
        parts.Step(rate, kGradients.data(), bounds[i], bounds[i + 1],
                   found.data());
      }
    }
    EXPECT_EQ(found, expected);
    EXPECT_EQ(parts.moments(), whole.moments());
  }
}

TEST(OptimizerTest, Names) {
  EXPECT_EQ(ParseOptimizer("sgd").value(), OptimizerKind::kSgd);
  EXPECT_EQ(ParseOptimizer("adam").value(), OptimizerKind::kAdam);
  EXPECT_EQ(ParseOptimizer("lion").status().message(),
            "optimizer: expected sgd or adam, found 'lion'");
}

}  // namespace
}  // namespace lmserve
