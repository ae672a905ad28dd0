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

// Some of many points, in their order and at most so many: of equal groups the
// lowest, the highest and the first that is not finite. All, where they are no
// more. REQUIRES: at_most >= 3.
std::vector<ChartPoint> ThinPoints(absl::Span<const ChartPoint> points,
                                   size_t at_most);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_CHARTS_CHART_POINTS_H_
