// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_CHARTS_CHART_PANEL_H_
#define LMSERVE_TRAINER_CHARTS_CHART_PANEL_H_

#include <string>
#include <vector>

#include "trainer/charts/chart_axis.h"
#include "trainer/charts/chart_points.h"

namespace lmserve {

// All lengths in a chart are in pixels.

// A line of a panel. The legend shows its label and its last value.
struct ChartLine {
  std::string label = {};
  std::string color = {};  // in SVG syntax
  double width = 1.3;
  bool ring = false;  // draw a ring at each point instead of a line
  std::vector<ChartPoint> points = {};
};

// A plot with its own vertical axis.
struct ChartPanel {
  std::string title = {};
  ChartAxis::Scale scale = ChartAxis::Scale::kLinear;
  double height = 0;  // of the plot
  // The vertical axis covers this fraction of the values of each line, the
  // smallest ones, if covering all values would more than double its length.
  double shown = 1;
  std::vector<ChartLine> lines = {};
};

// The layout that panels above each other share.
struct ChartColumn {
  double left = 0;  // of the plots; tick labels are to the left of it
  double width = 0;
  double legend_left = 0;
  double legend_width = 0;
  ChartAxis axis;             // horizontal; drawn without labels
  std::vector<double> ticks;  // values on the axis with a faint line
  std::vector<double> marks;  // values on the axis with a stronger line
};

// Draws a panel as an SVG group. The plot starts at `top`; the title is above
// it. Where a value is not finite, the line is interrupted and a red cross is
// drawn at the upper edge.
std::string DrawPanel(const ChartPanel& panel, const ChartColumn& column,
                      double top);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_CHARTS_CHART_PANEL_H_
