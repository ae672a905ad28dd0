// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_CHARTS_CHART_POINTS_H_
#define LMSERVE_TRAINER_CHARTS_CHART_POINTS_H_

#include <cstddef>
#include <vector>

#include "absl/types/span.h"

namespace lmserve {

// A point of a line; y may be NaN or infinite.
struct ChartPoint {
  double x = 0;
  double y = 0;
};

// Reduces the number of points to `at_most`, in the same order. Divides the
// points into groups of equal size and keeps the lowest, the highest and the
// first point that is not finite of each. Returns all points if there are at
// most `at_most`. REQUIRES: at_most >= 3.
std::vector<ChartPoint> ThinPoints(absl::Span<const ChartPoint> points,
                                   size_t at_most);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_CHARTS_CHART_POINTS_H_
