// SPDX-License-Identifier: Apache-2.0
#include "trainer/charts/chart_panel.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "trainer/charts/chart_text.h"

namespace lmserve {
namespace {

constexpr size_t kMostPoints = 1000;       // per line
constexpr size_t kMostDots = 40;           // lines of more points have no dots
constexpr size_t kMostLegendLetters = 16;  // per label in the legend
constexpr double kMargin = 0.06;  // above and below the lines, as a fraction
constexpr double kTickDistance = 22;  // minimum
constexpr double kLegendDistance = 16;
constexpr double kBaseline = 4;  // of a text, below the center of its digits

bool IsFinite(const ChartPoint& point) { return std::isfinite(point.y); }

// The range of the vertical axis.
struct Range {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();
  double highest = high;  // largest of all values
};

// Returns the values of a line that the axis can show, in rising order.
std::vector<double> SortedValues(const ChartLine& line,
                                 ChartAxis::Scale scale) {
  std::vector<double> values;
  for (const ChartPoint& point : line.points) {
    const bool on_scale = scale == ChartAxis::Scale::kLinear || point.y > 0;
    if (IsFinite(point) && on_scale) values.push_back(point.y);
  }
  absl::c_sort(values);
  return values;
}

Range RangeOf(const ChartPanel& panel) {
  Range range;
  for (const ChartLine& line : panel.lines) {
    const std::vector<double> values = SortedValues(line, panel.scale);
    if (values.empty()) continue;
    const size_t shown = std::ceil(panel.shown * values.size());
    range.low = std::min(range.low, values.front());
    range.high = std::max(range.high, values[shown - 1]);
    range.highest = std::max(range.highest, values.back());
  }
  const ChartAxis axis(panel.scale, range.low, range.high);
  if (axis.Position(range.highest) < 2) range.high = range.highest;
  return range;
}

// Returns the lines that a legend with `rows` rows shows: all lines, or the
// first two and some of the others, so that one row is left.
std::vector<size_t> NamedLines(size_t lines, size_t rows) {
  std::vector<size_t> named;
  if (lines <= rows) {
    for (size_t i = 0; i < lines; ++i) named.push_back(i);
    return named;
  }
  named = {0, 1};
  const size_t others = std::max<size_t>(rows, 5) - 3;
  for (size_t i = 0; i < others; ++i) {
    named.push_back(2 + i * (lines - 3) / (others - 1));
  }
  return named;
}

class PanelDrawing {
 public:
  PanelDrawing(const ChartPanel& panel, const ChartColumn& column)
      : panel_(panel),
        column_(column),
        range_(RangeOf(panel)),
        axis_(panel.scale, range_.low, range_.high, kMargin) {}

  std::string Draw(double top) {
    Add("<g transform=\"translate(%.1f %.1f)\">\n", column_.left, top);
    DrawTitle();
    DrawColumnLines("#ececec", "none", column_.ticks);
    DrawColumnLines("#b8b8b8", "3 3", column_.marks);
    if (!panel_.lines.empty()) DrawTicks();
    DrawPlot();
    DrawLegend();
    Add("</g>\n");
    return std::move(svg_);
  }

 private:
  template <typename... Values>
  void Add(const absl::FormatSpec<Values...>& format, const Values&... values) {
    absl::StrAppendFormat(&svg_, format, values...);
  }

  double X(double x) const { return column_.axis.Position(x) * column_.width; }
  double Y(double y) const { return (1 - axis_.Position(y)) * panel_.height; }

  void DrawTitle() {
    Add("<text y=\"-8\" font-size=\"12\" font-weight=\"bold\">%s%s</text>\n",
        XmlText(panel_.title),
        range_.highest > range_.high ? " (cut off above)" : "");
  }

  void DrawColumnLines(absl::string_view color, absl::string_view dashes,
                       absl::Span<const double> values) {
    Add("<g stroke=\"%s\" stroke-dasharray=\"%s\">", color, dashes);
    for (double x : values) {
      Add("<path d=\"M%.1f 0v%.1f\"/>", X(x), panel_.height);
    }
    Add("</g>\n");
  }

  void DrawTicks() {
    const size_t at_most = std::max(2.0, panel_.height / kTickDistance);
    for (const ChartTick& tick : axis_.Ticks(at_most)) {
      const double y = Y(tick.value);
      Add("<path d=\"M0 %.1fh%.1f\" stroke=\"#ececec\"/>", y, column_.width);
      Add("<text x=\"-8\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n",
          y + kBaseline, XmlText(tick.label));
    }
  }

  // The nested SVG element clips what is outside of it.
  void DrawPlot() {
    Add("<svg width=\"%.1f\" height=\"%.1f\" fill=\"none\" "
        "stroke-linejoin=\"round\" stroke-linecap=\"round\">\n",
        column_.width, panel_.height);
    for (const ChartLine& line : panel_.lines) DrawLine(line);
    Add("</svg>\n<rect width=\"%.1f\" height=\"%.1f\" fill=\"none\" "
        "stroke=\"#888\"/>\n",
        column_.width, panel_.height);
    if (panel_.lines.empty()) {
      Add("<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\" "
          "fill=\"#777\">nothing yet</text>\n",
          column_.width / 2, panel_.height / 2 + kBaseline);
    }
  }

  void DrawLine(const ChartLine& line) {
    const auto points = ThinPoints(line.points, kMostPoints);
    if (line.ring) {
      for (const ChartPoint& point : points) DrawRingWithValue(line, point);
      return;
    }
    Add("<path stroke=\"%s\" stroke-width=\"%.1f\" d=\"%s\"/>\n", line.color,
        line.width, Path(points));
    if (points.size() <= kMostDots) DrawDots(line.color, points);
    const std::string crosses = Crosses(points);
    if (!crosses.empty()) DrawCrosses(crosses);
  }

  // Returns the path of a line, interrupted where a point is not finite. "h0"
  // makes a single point visible as a dot.
  std::string Path(absl::Span<const ChartPoint> points) const {
    std::string path;
    bool goes_on = false;
    for (const ChartPoint& point : points) {
      if (IsFinite(point)) {
        absl::StrAppendFormat(&path, "%c%.1f %.1f%s", goes_on ? 'L' : 'M',
                              X(point.x), Y(point.y), goes_on ? "" : "h0");
      }
      goes_on = IsFinite(point);
    }
    return path;
  }

  // Returns crosses with a minimum distance.
  std::string Crosses(absl::Span<const ChartPoint> points) const {
    std::string path;
    double free = 0;
    for (const ChartPoint& point : points) {
      const double x = X(point.x);
      if (IsFinite(point) || x < free) continue;
      AppendCross(x, 7, &path);
      free = x + 8;
    }
    return path;
  }

  static void AppendCross(double x, double y, std::string* path) {
    absl::StrAppendFormat(path, "M%.1f %.1fl6 6m0-6l-6 6", x - 3, y - 3);
  }

  void DrawCrosses(absl::string_view path) {
    Add("<path stroke=\"#d00000\" stroke-width=\"1.5\" d=\"%s\"/>\n", path);
  }

  void DrawDots(absl::string_view color, absl::Span<const ChartPoint> points) {
    Add("<g fill=\"%s\">", color);
    for (const ChartPoint& point : points) {
      if (!IsFinite(point)) continue;
      Add("<circle cx=\"%.1f\" cy=\"%.1f\" r=\"2.2\"/>", X(point.x),
          Y(point.y));
    }
    Add("</g>\n");
  }

  void DrawRing(const ChartLine& line, double x, double y) {
    Add("<circle cx=\"%.1f\" cy=\"%.1f\" r=\"5\" fill=\"none\" stroke=\"%s\" "
        "stroke-width=\"%.1f\"/>",
        x, y, line.color, line.width);
  }

  // Draws the value above the ring, or below it near the upper edge.
  void DrawRingWithValue(const ChartLine& line, const ChartPoint& point) {
    constexpr double kRoom = 24;
    const double x = X(point.x), y = Y(point.y);
    DrawRing(line, x, y);
    Add("<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\" fill=\"%s\" "
        "stroke=\"#fff\" stroke-width=\"3\" paint-order=\"stroke\" "
        "font-weight=\"bold\">%s</text>\n",
        x, y < kRoom ? y + 18 : y - 10,
        x < kRoom                   ? "start"
        : x > column_.width - kRoom ? "end"
                                    : "middle",
        line.color, ShortNumber(point.y));
  }

  void DrawLegend() {
    const size_t not_finite = CountNotFinite();
    const size_t rows = panel_.height / kLegendDistance + 1 - (not_finite > 0);
    const std::vector<size_t> named = NamedLines(panel_.lines.size(), rows);
    Add("<g transform=\"translate(%.1f 0)\">\n",
        column_.legend_left - column_.left);
    double y = 6;
    for (size_t i : named) {
      DrawLegendRow(panel_.lines[i], y);
      y += kLegendDistance;
    }
    if (named.size() < panel_.lines.size()) {
      DrawLegendText(
          absl::StrCat("and ", panel_.lines.size() - named.size(), " more"), "",
          y);
      y += kLegendDistance;
    }
    if (not_finite > 0) DrawLegendOfCrosses(not_finite, y);
    Add("</g>\n");
  }

  void DrawLegendRow(const ChartLine& line, double y) {
    if (line.ring) {
      DrawRing(line, 9, y);
    } else {
      Add("<path stroke=\"%s\" stroke-width=\"%.1f\" d=\"M0 %.1fh18\"/>",
          line.color, std::max(line.width, 1.5), y);
    }
    DrawLegendText(line.label, ShortNumber(line.points.back().y), y);
  }

  void DrawLegendOfCrosses(size_t count, double y) {
    std::string cross;
    AppendCross(9, y, &cross);
    DrawCrosses(cross);
    DrawLegendText("not finite", absl::StrCat(count), y);
  }

  void DrawLegendText(absl::string_view label, absl::string_view value,
                      double y) {
    Add("<text x=\"26\" y=\"%.1f\">%s</text>", y + kBaseline,
        XmlText(label, kMostLegendLetters));
    Add("<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n",
        column_.legend_width, y + kBaseline, XmlText(value));
  }

  size_t CountNotFinite() const {
    size_t count = 0;
    for (const ChartLine& line : panel_.lines) {
      count += line.points.size() - absl::c_count_if(line.points, IsFinite);
    }
    return count;
  }

  std::string svg_;
  const ChartPanel& panel_;
  const ChartColumn& column_;
  const Range range_;
  const ChartAxis axis_;
};

}  // namespace

std::string DrawPanel(const ChartPanel& panel, const ChartColumn& column,
                      double top) {
  return PanelDrawing(panel, column).Draw(top);
}

}  // namespace lmserve
