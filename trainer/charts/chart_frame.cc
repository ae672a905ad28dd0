// SPDX-License-Identifier: Apache-2.0
#include "trainer/charts/chart_frame.h"

#include <cstddef>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "trainer/charts/chart_text.h"

namespace lmserve {
namespace {

constexpr size_t kMostLetters = 70;  // per text

}  // namespace

std::string DrawChartText(double x, double y, absl::string_view style,
                          absl::string_view text) {
  return absl::StrFormat("<text x=\"%.1f\" y=\"%.1f\" %s>%s</text>\n", x, y,
                         style, XmlText(text, kMostLetters));
}

std::string DrawChartHead(absl::string_view title, absl::string_view subtitle,
                          int width, int height, double left) {
  return absl::StrCat(
      absl::StrFormat(
          "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
          "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" "
          "height=\"%d\" viewBox=\"0 0 %d %d\" font-size=\"11\" fill=\"#222\" "
          "font-family=\"Helvetica, Arial, 'DejaVu Sans', sans-serif\">\n"
          "<title>%s</title>\n"
          "<rect width=\"%d\" height=\"%d\" fill=\"#fff\"/>\n",
          width, height, width, height, XmlText(title), width, height),
      DrawChartText(left, 32, "font-size=\"17\" font-weight=\"bold\"", title),
      DrawChartText(left, 52, "font-size=\"12\" fill=\"#666\"", subtitle));
}

}  // namespace lmserve
