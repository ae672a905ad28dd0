// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_CHARTS_GRADIENT_CHART_H_
#define LMSERVE_TRAINER_CHARTS_GRADIENT_CHART_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace lmserve {

// The gradients of the loss by the states of a network, by distance.
struct GradientLine {
  std::string label;
  std::vector<double> norms;  // norms[d]: of the state d words before
  bool is_bound = false;      // an upper bound, which is drawn lightly
};

// Draws an SVG chart of the norms over the distance, on a logarithmic scale.
// Norms below 1e-12 are left out.
std::string DrawGradientChart(absl::string_view title,
                              absl::string_view subtitle,
                              absl::Span<const GradientLine> lines);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_CHARTS_GRADIENT_CHART_H_
