// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_CHARTS_CHART_AXIS_H_
#define LMSERVE_TRAINER_CHARTS_CHART_AXIS_H_

#include <cstddef>
#include <string>
#include <vector>

namespace lmserve {

// A round number on an axis, with its label.
struct ChartTick {
  double value;
  std::string label;
};

// Maps numbers to positions along one side of a chart. Immutable.
class ChartAxis {
 public:
  enum class Scale { kLinear, kLog };

  // The axis covers low to high plus a margin at both ends, which is a fraction
  // of the length. If low and high are nearly equal, the axis is made longer.
  // If high < low, or one of them (or its logarithm, on a logarithmic axis) is
  // not finite, there is nothing to show and the axis covers 0 to 1, or 0.1
  // to 1.
  ChartAxis(Scale scale, double low, double high, double margin = 0);

  // Returns the position of a value: 0 at the low end, 1 at the high end,
  // limited to [-1, 2]. On a logarithmic axis, numbers up to 0 are at the low
  // end.
  double Position(double value) const;

  // Returns at most this many round numbers on the axis, in rising order.
  // REQUIRES: at_most >= 2.
  std::vector<ChartTick> Ticks(size_t at_most) const;

 private:
  const Scale scale_;
  double low_;   // for a logarithmic axis, log10 of the value
  double high_;  // greater than low_
};

// Formats a count: 950, 12.5k, 3M.
std::string ShortCount(double count);

// Formats a measurement with its significant digits: 84.21, 0.0025, 1.23e-5,
// nan.
std::string ShortNumber(double number);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_CHARTS_CHART_AXIS_H_
