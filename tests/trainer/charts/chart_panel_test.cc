// SPDX-License-Identifier: Apache-2.0
#include "trainer/charts/chart_panel.h"

#include <limits>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lmserve {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr auto kLinear = ChartAxis::Scale::kLinear;
constexpr auto kLog = ChartAxis::Scale::kLog;
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// Draws a panel whose plot has one pixel per unit of x.
std::string Draw(const ChartPanel& panel) {
  const ChartColumn column = {50,   100, 160, 100, ChartAxis(kLinear, 0, 100),
                              {25}, {75}};
  return DrawPanel(panel, column, 20);
}

// Returns a panel of one line with points at x = 0, 10, 20 and so on.
ChartPanel PanelOf(const std::vector<double>& values) {
  ChartLine line = {.label = "train", .color = "#123456"};
  for (size_t i = 0; i < values.size(); ++i) {
    line.points.push_back({10.0 * i, values[i]});
  }
  return {"Loss", kLinear, 112, 1, {line}};  // 0 to 100 plus the margins
}

TEST(DrawPanel, Positions) {
  const std::string svg = Draw(PanelOf({0, 100, 50}));
  EXPECT_THAT(svg, HasSubstr("<g transform=\"translate(50.0 20.0)\">"));
  EXPECT_THAT(svg, HasSubstr(">Loss</text>"));
  EXPECT_THAT(svg, HasSubstr("M25.0 0v112.0"));  // the tick
  EXPECT_THAT(svg, HasSubstr("M75.0 0v112.0"));  // the mark
  EXPECT_THAT(svg, HasSubstr("d=\"M0.0 106.0h0L10.0 6.0L20.0 56.0\""));
  EXPECT_THAT(svg, HasSubstr("y=\"60.0\" text-anchor=\"end\">50</text>"));
  EXPECT_THAT(svg, HasSubstr("translate(110.0 0)"));  // the legend
  EXPECT_THAT(svg, HasSubstr(">train</text>"));
}

TEST(DrawPanel, LinesAreInterruptedAtNan) {
  const std::string svg = Draw(PanelOf({0, 100, kNan, 50, kNan, 0, 100}));
  EXPECT_THAT(svg, HasSubstr("M0.0 106.0h0L10.0 6.0M30.0 56.0h0M50.0 106.0h0"
                             "L60.0 6.0\""));
  EXPECT_THAT(svg, HasSubstr("M17.0 4.0l6 6m0-6l-6 6M37.0 4.0l6"));
  EXPECT_THAT(svg, HasSubstr(">not finite</text>"));
  EXPECT_THAT(svg, HasSubstr(">2</text>"));
}

TEST(DrawPanel, CrossesHaveAMinimumDistance) {
  ChartPanel panel = PanelOf({});
  for (int i = 0; i < 100; ++i) panel.lines[0].points.push_back({i / 1., kNan});
  const std::string svg = Draw(panel);
  EXPECT_THAT(svg, HasSubstr("M-3.0 4.0l6 6m0-6l-6 6M5.0 4.0l6"));
  EXPECT_THAT(svg, HasSubstr(">100</text>"));
}

TEST(DrawPanel, ZeroIsAtTheBottomOfALogarithmicAxis) {
  ChartPanel panel = PanelOf({1, 0, 100});
  panel.scale = kLog;
  EXPECT_THAT(Draw(panel), HasSubstr("M0.0 106.0h0L10.0 112.0L20.0 6.0\""));
}

TEST(DrawPanel, HugeValuesAreCutOff) {
  std::vector<double> values(10, 0.0);
  values[0] = 1000;
  values[1] = 100;
  ChartPanel panel = PanelOf(values);
  EXPECT_THAT(Draw(panel), Not(HasSubstr("cut off")));
  panel.shown = 0.9;
  const std::string svg = Draw(panel);
  EXPECT_THAT(svg, HasSubstr(">Loss (cut off above)</text>"));
  EXPECT_THAT(svg, HasSubstr("L10.0 6.0L20.0 106.0"));
}

TEST(DrawPanel, OtherValuesAreShown) {
  std::vector<double> values(10, 0.0);
  values[0] = 100;
  values[1] = 51;
  ChartPanel panel = PanelOf(values);
  panel.shown = 0.9;
  EXPECT_THAT(Draw(panel), Not(HasSubstr("cut off")));
}

TEST(DrawPanel, RingsHaveTheirValues) {
  ChartPanel panel = PanelOf({0, 100});
  panel.lines.push_back({"best", "#f00", 1.5, true, {{50, 84.216}}});
  const std::string svg = Draw(panel);
  EXPECT_THAT(svg, HasSubstr("<circle cx=\"50.0\""));
  EXPECT_THAT(svg, HasSubstr("text-anchor=\"middle\" fill=\"#f00\""));
  EXPECT_THAT(svg, HasSubstr(">84.22</text>"));
}

TEST(DrawPanel, FewPointsAreDots) {
  EXPECT_THAT(Draw(PanelOf({1})), HasSubstr("<circle cx=\"0.0\""));
  EXPECT_THAT(Draw(PanelOf(std::vector<double>(41))),
              Not(HasSubstr("<circle")));
}

TEST(DrawPanel, ManyLinesAreNotAllNamed) {
  ChartPanel panel = PanelOf({});
  panel.lines.clear();
  for (int i = 0; i < 50; ++i) {
    panel.lines.push_back(
        {absl::StrCat("line ", i), "#000", 1, false, {{1, 1.0 * i}}});
  }
  const std::string svg = Draw(panel);  // has eight rows
  for (int named : {0, 1, 2, 13, 25, 37, 49}) {
    EXPECT_THAT(svg, HasSubstr(absl::StrCat(">line ", named, "</text>")));
  }
  EXPECT_THAT(svg, HasSubstr(">and 43 more</text>"));
}

TEST(DrawPanel, Empty) {
  ChartPanel panel = PanelOf({});
  panel.lines.clear();
  EXPECT_THAT(Draw(panel), HasSubstr(">nothing yet</text>"));
}

}  // namespace
}  // namespace lmserve
