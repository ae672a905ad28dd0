// SPDX-License-Identifier: Apache-2.0
#include "trainer/charts/chart_axis.h"

#include <algorithm>
#include <cmath>

#include "absl/algorithm/container.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace lmserve {
namespace {

// The largest number on a linear axis; the largest decade on a logarithmic one.
constexpr double kLargest = 1e100, kMostDecades = 300;
// The minimum length of an axis: absolute, as a fraction of the largest number,
// and in decades.
constexpr double kSmallest = 1e-100, kLeastShare = 1e-6, kLeastDecades = 0.1;
constexpr double kRoundingError = 1e-9;  // in steps

// Shortens 1e+06 to 1e6 and 1e-06 to 1e-6.
std::string ShortExponent(absl::string_view number) {
  return absl::StrReplaceAll(number,
                             {{"e+0", "e"}, {"e-0", "e-"}, {"e+", "e"}});
}

// Formats a value with as many decimals as the step has.
std::string LinearLabel(double value, double step) {
  const int decimals =
      std::max(0.0, std::ceil(-std::log10(step) - kRoundingError));
  if (decimals > 4 || std::abs(value) >= 1e6) {
    return ShortExponent(absl::StrFormat("%.7g", value));
  }
  return absl::StrFormat("%.*f", decimals, value);
}

// Returns the smallest step, 1, 2 or 5 times a power of ten, that gives at most
// `at_most` ticks.
double RoundStep(double low, double high, size_t at_most) {
  const double power =
      std::pow(10, std::floor(std::log10((high - low) / at_most)));
  for (double digit : {1, 2, 5, 10}) {
    const double step = digit * power;
    const double ticks = std::floor(high / step) - std::ceil(low / step) + 1;
    if (ticks <= at_most) return step;
  }
  return 20 * power;
}

std::vector<ChartTick> LinearTicks(double low, double high, size_t at_most) {
  const double step = RoundStep(low, high, at_most);
  const double first = std::ceil(low / step - kRoundingError);
  const double last = std::floor(high / step + kRoundingError);
  std::vector<ChartTick> ticks;
  for (int i = 0; i <= last - first; ++i) {
    const double value = first + i == 0 ? 0 : (first + i) * step;  // no -0
    ticks.push_back({value, LinearLabel(value, step)});
  }
  return ticks;
}

// The values d * 10^(n * stride) for all digits d and integers n.
struct LogGrid {
  absl::Span<const double> digits;
  int stride;
};

// Returns the values of a grid between two logarithms.
std::vector<double> LogValues(const LogGrid& grid, double low, double high) {
  std::vector<double> values;
  int exponent = std::floor(low / grid.stride) * grid.stride;
  for (; exponent <= high; exponent += grid.stride) {
    for (double digit : grid.digits) {
      const double log = exponent + std::log10(digit);
      if (log < low - kRoundingError || log > high + kRoundingError) continue;
      const double value = digit * std::pow(10, exponent);
      if (value > 0 && std::isfinite(value)) values.push_back(value);
    }
  }
  return values;
}

// Returns the values of the densest grid that has at most `at_most` values.
std::vector<double> LogValues(double low, double high, size_t at_most) {
  constexpr double kTen[] = {1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8};
  constexpr double kSix[] = {1, 1.5, 2, 3, 5, 7};
  constexpr double kThree[] = {1, 2, 5}, kTwo[] = {1, 3}, kOne[] = {1};
  const LogGrid grids[] = {{kTen, 1},   {kSix, 1},   {kThree, 1}, {kTwo, 1},
                           {kOne, 1},   {kOne, 2},   {kOne, 3},   {kOne, 5},
                           {kOne, 10},  {kOne, 20},  {kOne, 50},  {kOne, 100},
                           {kOne, 200}, {kOne, 500}, {kOne, 1000}};
  std::vector<double> values;
  for (const LogGrid& grid : grids) {
    values = LogValues(grid, low, high);
    if (values.size() <= at_most) break;
  }
  return values;
}

std::string PowerLabel(double value) {
  if (value == 1) return "1";
  const double exponent = std::floor(std::log10(value) + kRoundingError);
  return absl::StrFormat("%.2ge%.0f", value / std::pow(10, exponent), exponent);
}

// Returns the ticks of a logarithmic axis. The labels are plain numbers unless
// one of them would be long.
std::vector<ChartTick> LogTicks(double low, double high, size_t at_most) {
  const std::vector<double> values = LogValues(low, high, at_most);
  if (values.size() < 3 && high - low < 1) {
    return LinearTicks(std::pow(10, low), std::pow(10, high), at_most);
  }
  const bool plain = absl::c_all_of(
      values, [](double value) { return value > 0.9e-4 && value < 0.9e6; });
  std::vector<ChartTick> ticks;
  ticks.reserve(values.size());
  for (double value : values) {
    ticks.push_back(
        {value, plain ? absl::StrFormat("%.6g", value) : PowerLabel(value)});
  }
  return ticks;
}

}  // namespace

ChartAxis::ChartAxis(Scale scale, double low, double high, double margin)
    : scale_(scale) {
  const bool log = scale == Scale::kLog;
  const bool empty = !std::isfinite(low) || !std::isfinite(high) ||
                     low > high || (log && low <= 0);
  if (empty) {
    low = log ? 0.1 : 0;
    high = 1;
  }
  const double limit = log ? kMostDecades : kLargest;
  low_ = std::clamp(log ? std::log10(low) : low, -limit, limit);
  high_ = std::clamp(log ? std::log10(high) : high, -limit, limit);
  const double size = std::max(std::abs(low_), std::abs(high_));
  const double least =
      log ? kLeastDecades : std::max(size * kLeastShare, kSmallest);
  if (high_ - low_ <= least) {
    const double room = log ? kLeastDecades : size > kSmallest ? size / 10 : 1;
    low_ -= room;
    high_ += room;
  }
  const double extra = (high_ - low_) * margin;
  low_ -= extra;
  high_ += extra;
}

double ChartAxis::Position(double value) const {
  if (scale_ == Scale::kLog) {
    if (value <= 0) return 0;
    value = std::log10(value);
  }
  return std::clamp((value - low_) / (high_ - low_), -1.0, 2.0);
}

std::vector<ChartTick> ChartAxis::Ticks(size_t at_most) const {
  return scale_ == Scale::kLog ? LogTicks(low_, high_, at_most)
                               : LinearTicks(low_, high_, at_most);
}

std::string ShortCount(double count) {
  for (const char* unit : {"", "k", "M", "G"}) {
    if (count < 999.5) return absl::StrFormat("%.3g%s", count, unit);
    count /= 1000;
  }
  return absl::StrFormat("%.3gT", count);
}

std::string ShortNumber(double number) {
  const int digits = std::abs(number) < 1e-3 ? 3 : 4;
  return ShortExponent(absl::StrFormat("%.*g", digits, number));
}

}  // namespace lmserve
