// SPDX-License-Identifier: Apache-2.0
#include "trainer/charts/gradient_chart.h"

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/trainer/charts/xml.h"

namespace lmserve {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

// Draws a chart and expects that it is well-formed XML.
std::string Draw(const std::vector<GradientLine>& lines) {
  std::string svg = DrawGradientChart("Title", "Subtitle", lines);
  EXPECT_EQ(XmlChecker::Problem(svg), "");
  return svg;
}

// Norms that fall by a factor for each word.
std::vector<double> Falling(double factor) {
  std::vector<double> norms;
  for (int d = 0; d <= 50; ++d) norms.push_back(std::pow(factor, d));
  return norms;
}

TEST(GradientChartTest, HasALineForEachModel) {
  EXPECT_THAT(Draw({{"sigmoid@1 h", Falling(0.3)}, {"lstm@1 c", Falling(0.9)}}),
              AllOf(HasSubstr(">Title</text>"), HasSubstr(">Subtitle</text>"),
                    HasSubstr("sigmoid@1 h"), HasSubstr("lstm@1 c"),
                    HasSubstr("#d9480f"), HasSubstr("#2b6cb0"),
                    HasSubstr(">50</text>")));
}

TEST(GradientChartTest, ABoundHasTheColorOfItsModel) {
  EXPECT_THAT(Draw({{"a", Falling(0.3)}, {"a bound", Falling(0.4), true}}),
              AllOf(HasSubstr("a bound"), HasSubstr("#d9480f"),
                    Not(HasSubstr("#2b6cb0"))));
}

TEST(GradientChartTest, DrawsAnyNumbers) {
  const double infinity = std::numeric_limits<double>::infinity();
  Draw({});
  Draw({{"none", {}}});
  Draw({{"zero", {0, 0, 0}}});
  Draw({{"large", {1, 1e300, infinity}}, {"nan", {1, std::nan(""), 1}}});
}

}  // namespace
}  // namespace lmserve
