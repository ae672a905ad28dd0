// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_CHARTS_CHART_FRAME_H_
#define LMSERVE_TRAINER_CHARTS_CHART_FRAME_H_

#include <string>

#include "absl/strings/string_view.h"

namespace lmserve {

// Draws a line of text, cut if it is long, as an SVG element. `style` has its
// attributes.
std::string DrawChartText(double x, double y, absl::string_view style,
                          absl::string_view text);

// Draws the start of an SVG file of this size in pixels: a white background,
// the title and, below it, the subtitle, both from `left` on. The file ends
// with "</svg>\n".
std::string DrawChartHead(absl::string_view title, absl::string_view subtitle,
                          int width, int height, double left);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_CHARTS_CHART_FRAME_H_
