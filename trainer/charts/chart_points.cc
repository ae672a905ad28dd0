// SPDX-License-Identifier: Apache-2.0
#include "trainer/charts/chart_points.h"

#include <algorithm>
#include <cmath>
#include <iterator>

namespace lmserve {
namespace {

// Appends the points of a group that are kept.
void AppendGroup(absl::Span<const ChartPoint> group,
                 std::vector<ChartPoint>* points) {
  const size_t none = group.size();
  size_t low = none, high = none, broken = none;
  for (size_t i = 0; i < group.size(); ++i) {
    if (!std::isfinite(group[i].y)) {
      broken = std::min(broken, i);
      continue;
    }
    if (low == none || group[i].y < group[low].y) low = i;
    if (high == none || group[i].y > group[high].y) high = i;
  }
  size_t chosen[] = {low, high, broken};
  std::sort(std::begin(chosen), std::end(chosen));
  const auto end = std::unique(std::begin(chosen), std::end(chosen));
  for (auto i = std::begin(chosen); i != end && *i != none; ++i) {
    points->push_back(group[*i]);
  }
}

}  // namespace

std::vector<ChartPoint> ThinPoints(absl::Span<const ChartPoint> points,
                                   size_t at_most) {
  if (points.size() <= at_most) return {points.begin(), points.end()};
  std::vector<ChartPoint> thin;
  const size_t groups = at_most / 3;
  for (size_t i = 0; i < groups; ++i) {
    const size_t begin = points.size() * i / groups;
    const size_t end = points.size() * (i + 1) / groups;
    AppendGroup(points.subspan(begin, end - begin), &thin);
  }
  return thin;
}

}  // namespace lmserve
