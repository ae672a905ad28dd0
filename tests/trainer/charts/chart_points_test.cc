// SPDX-License-Identifier: Apache-2.0
#include "trainer/charts/chart_points.h"

#include <cmath>
#include <limits>

#include "absl/algorithm/container.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lmserve {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

std::vector<ChartPoint> Waves(size_t n) {
  std::vector<ChartPoint> points;
  for (size_t i = 0; i < n; ++i) points.push_back({double(i), std::sin(i)});
  return points;
}

bool IsRising(const std::vector<ChartPoint>& points) {
  return absl::c_is_sorted(
      points,
      [](const ChartPoint& a, const ChartPoint& b) { return a.x < b.x; });
}

TEST(ThinPoints, FewPointsStay) {
  EXPECT_EQ(ThinPoints({}, 3).size(), 0u);
  EXPECT_EQ(ThinPoints(Waves(1), 1000).size(), 1u);
  EXPECT_EQ(ThinPoints(Waves(1000), 1000).size(), 1000u);
}

TEST(ThinPoints, ManyPoints) {
  for (size_t n : {1001u, 20'000u}) {
    const std::vector<ChartPoint> thin = ThinPoints(Waves(n), 1000);
    EXPECT_GE(thin.size(), 600u);
    EXPECT_LE(thin.size(), 1000u);
    EXPECT_TRUE(IsRising(thin));
    EXPECT_LT(thin.front().x, n / 300);
    EXPECT_GT(thin.back().x, n - n / 300 - 1);
  }
}

// Spikes and gaps are what users look for in the chart of a training.
TEST(ThinPoints, NoSpikeAndNoGapIsLost) {
  std::vector<ChartPoint> points = Waves(20'000);
  points[777].y = 1e6;
  points[7'777].y = -1e6;
  points[17'777].y = kNan;
  const std::vector<ChartPoint> thin = ThinPoints(points, 1000);
  for (double x : {777, 7'777, 17'777}) {
    EXPECT_TRUE(absl::c_any_of(thin, [x](const ChartPoint& point) {
      return point.x == x;
    })) << x;
  }
  EXPECT_TRUE(IsRising(thin));
}

TEST(ThinPoints, NothingFinite) {
  const std::vector<ChartPoint> points(5000, ChartPoint{1, kNan});
  EXPECT_EQ(ThinPoints(points, 300).size(), 100u);
}

TEST(ThinPoints, TheFewestThatMayStay) {
  const std::vector<ChartPoint> thin =
      ThinPoints(std::vector<ChartPoint>{{0, 1}, {1, 5}, {2, kNan}, {3, 0}}, 3);
  ASSERT_EQ(thin.size(), 3u);
  EXPECT_EQ(thin[0].y, 5);
  EXPECT_TRUE(std::isnan(thin[1].y));
  EXPECT_EQ(thin[2].y, 0);
}

}  // namespace
}  // namespace lmserve
