#ifndef LMSERVE_TRAINER_CHARTS_CHART_PANEL_H_
#define LMSERVE_TRAINER_CHARTS_CHART_PANEL_H_

#include <string>
#include <vector>

#include "trainer/charts/chart_axis.h"
#include "trainer/charts/chart_points.h"

namespace lmserve {

// Lengths are pixels, as everywhere in a chart.

// A line of a panel. The legend has its label and the last of its values.
struct ChartLine {
  std::string label = {};
  std::string colour = {};  // of SVG
  double width = 1.3;
  bool ring = false;  // rings around the points instead
  std::vector<ChartPoint> points = {};
};

// A picture with a vertical axis of its own.
struct ChartPanel {
  std::string title = {};
  ChartAxis::Scale scale = ChartAxis::Scale::kLinear;
  double height = 0;  // of the plot
  // The share of each line, its lowest part, that sets the vertical axis where
  // all of it would more than double that axis.
  double shown = 1;
  std::vector<ChartLine> lines = {};
};

// What panels that stand one below the other have in common.
struct ChartColumn {
  double left = 0;  // of the plots; left of them are the labels of the ticks
  double width = 0;
  double legend_left = 0;
  double legend_width = 0;
  ChartAxis axis;             // the horizontal one, without its labels
  std::vector<double> ticks;  // values on it with a faint line
  std::vector<double> marks;  // and with a stronger one
};

// Draws a panel as a group of SVG, whose plot begins at top; the title is above
// it. Where a line has no finite number it is broken, and a red cross stands at
// the upper edge.
std::string DrawPanel(const ChartPanel& panel, const ChartColumn& column,
                      double top);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_CHARTS_CHART_PANEL_H_
