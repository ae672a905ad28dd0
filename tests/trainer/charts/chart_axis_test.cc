// SPDX-License-Identifier: Apache-2.0
#include "trainer/charts/chart_axis.h"

#include <cmath>
#include <limits>
#include <random>
#include <set>

#include "absl/strings/numbers.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lmserve {
namespace {

using testing::ElementsAre;

constexpr auto kLinear = ChartAxis::Scale::kLinear;
constexpr auto kLog = ChartAxis::Scale::kLog;
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

std::vector<std::string> Labels(const ChartAxis& axis, size_t at_most) {
  std::vector<std::string> labels;
  for (const ChartTick& tick : axis.Ticks(at_most)) {
    labels.push_back(tick.label);
  }
  return labels;
}

TEST(ChartAxis, LinearPositions) {
  const ChartAxis axis(kLinear, -1, 3);
  EXPECT_DOUBLE_EQ(axis.Position(-1), 0);
  EXPECT_DOUBLE_EQ(axis.Position(0), 0.25);
  EXPECT_DOUBLE_EQ(axis.Position(3), 1);
  EXPECT_DOUBLE_EQ(axis.Position(1e300), 2);
  EXPECT_DOUBLE_EQ(axis.Position(-1e300), -1);
}

TEST(ChartAxis, LogPositions) {
  const ChartAxis axis(kLog, 0.01, 100);
  EXPECT_DOUBLE_EQ(axis.Position(0.01), 0);
  EXPECT_DOUBLE_EQ(axis.Position(1), 0.5);
  EXPECT_DOUBLE_EQ(axis.Position(1e300), 2);
  EXPECT_DOUBLE_EQ(axis.Position(0), 0);
  EXPECT_DOUBLE_EQ(axis.Position(-5), 0);
}

TEST(ChartAxis, MarginsAreAFractionOfTheLength) {
  EXPECT_DOUBLE_EQ(ChartAxis(kLinear, 0, 10, 0.5).Position(0), 0.25);
  EXPECT_DOUBLE_EQ(ChartAxis(kLog, 1, 100, 0.5).Position(100), 0.75);
}

TEST(ChartAxis, LinearTicks) {
  EXPECT_THAT(Labels({kLinear, 3.9, 10.2}, 5),
              ElementsAre("4", "6", "8", "10"));
  EXPECT_THAT(Labels({kLinear, 0, 1}, 5), ElementsAre("0.0", "0.5", "1.0"));
  EXPECT_THAT(Labels({kLinear, 4.011, 4.019}, 5),
              ElementsAre("4.012", "4.014", "4.016", "4.018"));
  EXPECT_THAT(Labels({kLinear, -0.3, 0.3}, 3),
              ElementsAre("-0.2", "0.0", "0.2"));
  EXPECT_THAT(Labels({kLinear, 0, 3e9}, 4),
              ElementsAre("0", "1e9", "2e9", "3e9"));
}

TEST(ChartAxis, LogTicks) {
  EXPECT_THAT(Labels({kLog, 58, 165}, 5),
              ElementsAre("60", "80", "100", "120", "150"));
  EXPECT_THAT(Labels({kLog, 0.9, 11}, 4), ElementsAre("1", "2", "5", "10"));
  EXPECT_THAT(Labels({kLog, 4e-5, 2e-3}, 3),
              ElementsAre("0.0001", "0.0003", "0.001"));
  EXPECT_THAT(Labels({kLog, 4e-6, 2e-3}, 4),
              ElementsAre("1e-5", "1e-4", "1e-3"));
  EXPECT_THAT(Labels({kLog, 1.4e-5, 2.6e-5}, 4),
              ElementsAre("1.5e-5", "2e-5", "2.5e-5"));
  EXPECT_THAT(Labels({kLog, 1e-3, 10}, 5),
              ElementsAre("0.001", "0.01", "0.1", "1", "10"));
  EXPECT_THAT(Labels({kLog, 1e-7, 1e4}, 5),
              ElementsAre("1e-6", "1e-3", "1", "1e3"));
  EXPECT_THAT(Labels({kLog, 1e-300, 1e300}, 4),
              ElementsAre("1e-200", "1", "1e200"));
  EXPECT_THAT(Labels({kLog, 90, 120}, 5),
              ElementsAre("90", "100", "110", "120"));
}

TEST(ChartAxis, OneValueGetsRoom) {
  EXPECT_DOUBLE_EQ(ChartAxis(kLinear, 5, 5).Position(5), 0.5);
  EXPECT_DOUBLE_EQ(ChartAxis(kLinear, 0, 0).Position(0), 0.5);
  EXPECT_DOUBLE_EQ(ChartAxis(kLog, 2e-3, 2e-3).Position(2e-3), 0.5);
  EXPECT_THAT(Labels({kLinear, 5, 5}, 5),
              ElementsAre("4.6", "4.8", "5.0", "5.2", "5.4"));
  EXPECT_THAT(Labels({kLog, 2e-3, 2e-3}, 5),
              ElementsAre("0.0016", "0.0018", "0.0020", "0.0022", "0.0024"));
}

TEST(ChartAxis, NothingToShow) {
  for (double low : {1.0, kNan, kInfinity, -kInfinity}) {
    EXPECT_DOUBLE_EQ(ChartAxis(kLinear, low, 0).Position(0.5), 0.5);
    EXPECT_DOUBLE_EQ(ChartAxis(kLog, low, 0).Position(1), 1);
    EXPECT_DOUBLE_EQ(ChartAxis(kLog, low, kInfinity).Position(0.1), 0);
  }
}

// Expects that there are few ticks, in rising order, on the axis, with labels
// that match their values.
void CheckTicks(const ChartAxis& axis, size_t at_most) {
  const std::vector<ChartTick> ticks = axis.Ticks(at_most);
  EXPECT_GE(ticks.size(), 1u);
  EXPECT_LE(ticks.size(), at_most);
  double last = -kInfinity;
  for (const ChartTick& tick : ticks) {
    EXPECT_GT(tick.value, last);
    last = tick.value;
    EXPECT_GE(axis.Position(tick.value), -1e-6);
    EXPECT_LE(axis.Position(tick.value), 1 + 1e-6);
    double read;
    ASSERT_TRUE(absl::SimpleAtod(tick.label, &read)) << tick.label;
    EXPECT_NEAR(read, tick.value, 1e-6 * std::abs(tick.value)) << tick.label;
  }
}

TEST(ChartAxis, TicksOfAnyRange) {
  std::mt19937 random(1);
  std::normal_distribution<double> normal;
  for (int i = 0; i < 20'000 && !testing::Test::HasFailure(); ++i) {
    const double scale = std::pow(10, normal(random) * (i % 100));
    const double a = scale * normal(random), b = scale * normal(random);
    const double low = std::min(a, b), high = std::max(a, b);
    SCOPED_TRACE(testing::Message() << low << " to " << high);
    const size_t at_most = 3 + i % 8;
    CheckTicks({kLinear, low, high, 0.06}, at_most);
    CheckTicks({kLog, std::exp(low), std::exp(high), 0.06}, at_most);
  }
}

TEST(ChartAxis, TicksAtTheEndsOfDouble) {
  constexpr double kMax = std::numeric_limits<double>::max();
  constexpr double kMin = std::numeric_limits<double>::denorm_min();
  for (size_t at_most : {2, 3, 5, 10}) {
    CheckTicks({kLinear, -kMax, kMax, 0.06}, at_most);
    CheckTicks({kLinear, kMax, kMax, 0.06}, at_most);
    CheckTicks({kLinear, 0, kMin, 0.06}, at_most);
    CheckTicks({kLog, kMin, kMax, 0.06}, at_most);
    CheckTicks({kLog, kMin, kMin, 0.06}, at_most);
    CheckTicks({kLog, kMax, kMax, 0.06}, at_most);
  }
}

TEST(ShortCount, ThreeDigitsAndAUnit) {
  EXPECT_EQ(ShortCount(0), "0");
  EXPECT_EQ(ShortCount(950), "950");
  EXPECT_EQ(ShortCount(999.7), "1k");
  EXPECT_EQ(ShortCount(12'500), "12.5k");
  EXPECT_EQ(ShortCount(3e6), "3M");
  EXPECT_EQ(ShortCount(1.234e9), "1.23G");
  EXPECT_EQ(ShortCount(5e13), "50T");
}

TEST(ShortNumber, TheDigitsThatCount) {
  EXPECT_EQ(ShortNumber(84.2149), "84.21");
  EXPECT_EQ(ShortNumber(0.0025), "0.0025");
  EXPECT_EQ(ShortNumber(1.2345e-5), "1.23e-5");
  EXPECT_EQ(ShortNumber(-1e100), "-1e100");
  EXPECT_EQ(ShortNumber(0), "0");
  EXPECT_EQ(ShortNumber(kNan), "nan");
  EXPECT_EQ(ShortNumber(kInfinity), "inf");
}

}  // namespace
}  // namespace lmserve
