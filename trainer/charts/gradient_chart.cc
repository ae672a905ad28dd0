// SPDX-License-Identifier: Apache-2.0
#include "trainer/charts/gradient_chart.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "trainer/charts/chart_axis.h"
#include "trainer/charts/chart_frame.h"
#include "trainer/charts/chart_panel.h"

namespace lmserve {
namespace {

// All lengths are in pixels.
constexpr int kCurvesWidth = 900, kCurvesHeight = 560;
constexpr double kCurvesLeft = 70, kCurvesPlotWidth = 614;
constexpr double kCurvesLegendLeft = 698, kCurvesLegendWidth = 188;
constexpr double kCurvesTop = 86, kCurvesPlotHeight = 414;
constexpr size_t kCurvesMostTicks = 10;
// Norms below this are not shown: they would leave no room for the others.
constexpr double kLeastNorm = 1e-12;

constexpr const char* kColors[] = {"#d9480f", "#2b6cb0", "#2f7d32", "#5b2191",
                                   "#b7791f", "#0b7285", "#c2255c", "#495057"};

}  // namespace

std::string DrawGradientChart(absl::string_view title,
                              absl::string_view subtitle,
                              absl::Span<const GradientLine> lines) {
  ChartPanel panel = {.title =
                          "Mean norm of the gradient of the loss of a word "
                          "by an earlier state",
                      .scale = ChartAxis::Scale::kLog,
                      .height = kCurvesPlotHeight};
  double most = 1;
  size_t color = 0;
  for (const GradientLine& line : lines) {
    // A bound has the color of the line before it.
    if (!line.is_bound && &line != &lines.front()) ++color;
    ChartLine drawn = {.label = line.label,
                       .color = kColors[color % std::size(kColors)],
                       .width = line.is_bound ? 0.5 : 1.6};
    for (size_t d = 0; d < line.norms.size(); ++d) {
      if (line.norms[d] < kLeastNorm) continue;
      drawn.points.push_back({static_cast<double>(d), line.norms[d]});
      most = std::max(most, static_cast<double>(d));
    }
    if (!drawn.points.empty()) panel.lines.push_back(std::move(drawn));
  }
  const ChartAxis axis(ChartAxis::Scale::kLinear, 0, most);
  ChartColumn column = {.left = kCurvesLeft,
                        .width = kCurvesPlotWidth,
                        .legend_left = kCurvesLegendLeft,
                        .legend_width = kCurvesLegendWidth,
                        .axis = axis,
                        .ticks = {},
                        .marks = {}};
  const double bottom = kCurvesTop + kCurvesPlotHeight + 17;
  std::string labels;
  for (const ChartTick& tick : axis.Ticks(kCurvesMostTicks)) {
    column.ticks.push_back(tick.value);
    absl::StrAppend(
        &labels, DrawChartText(
                     kCurvesLeft + axis.Position(tick.value) * kCurvesPlotWidth,
                     bottom, "text-anchor=\"middle\"", tick.label));
  }
  return absl::StrCat(
      DrawChartHead(title, subtitle, kCurvesWidth, kCurvesHeight, kCurvesLeft),
      DrawPanel(panel, column, kCurvesTop), labels,
      DrawChartText(kCurvesLeft + kCurvesPlotWidth / 2, bottom + 18,
                    "text-anchor=\"middle\" fill=\"#666\"",
                    "words between the state and the loss, t - k"),
      "</svg>\n");
}

}  // namespace lmserve
