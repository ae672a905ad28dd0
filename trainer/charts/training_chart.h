// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_CHARTS_TRAINING_CHART_H_
#define LMSERVE_TRAINER_CHARTS_TRAINING_CHART_H_

#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "trainer/neural/training_log.h"

namespace lmserve {

// Draws a chart of a training as a self-contained SVG of 900 by 700 pixels. It
// has four plots over the number of words seen: losses, perplexities, learning
// rate, and norms of the gradients before clipping. The axis of the
// perplexities fits the smaller values, so the first steps may be outside.
// `records` may be empty. Names of layers with more than 16 characters are
// shortened in the middle.
std::string DrawTrainingChart(absl::string_view title,
                              absl::Span<const TrainingRecord> records);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_CHARTS_TRAINING_CHART_H_
