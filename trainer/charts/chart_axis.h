#ifndef LMSERVE_TRAINER_CHARTS_CHART_AXIS_H_
#define LMSERVE_TRAINER_CHARTS_CHART_AXIS_H_

#include <cstddef>
#include <string>
#include <vector>

namespace lmserve {

// A round number on an axis, and what to write beside it.
struct ChartTick {
  double value;
  std::string label;
};

// Maps numbers to places along one side of a chart. Immutable.
class ChartAxis {
 public:
  enum class Scale { kLinear, kLog };

  // From low to high, and a margin at both ends: a share of the length. Values
  // that are nearly the same get some room around them. Where high < low, or
  // one of them or its logarithm is not finite, nothing is to be shown: the
  // axis is 0 to 1, or 0.1 to 1.
  ChartAxis(Scale scale, double low, double high, double margin = 0);

  // 0 at the low end, 1 at the high end; no further out than one length. On a
  // logarithmic axis numbers up to 0 are at the low end.
  double Position(double value) const;

  // Some round numbers on the axis, rising. REQUIRES: at_most >= 2.
  std::vector<ChartTick> Ticks(size_t at_most) const;

 private:
  const Scale scale_;
  double low_;   // of a logarithmic axis: log10
  double high_;  // greater than low_
};

// A number of words or the like, short: 950, 12.5k, 3M.
std::string ShortCount(double count);

// A measured number, the digits that count: 84.21, 0.0025, 1.23e-5, nan.
std::string ShortNumber(double number);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_CHARTS_CHART_AXIS_H_
