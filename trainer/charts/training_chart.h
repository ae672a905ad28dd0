#ifndef LMSERVE_TRAINER_CHARTS_TRAINING_CHART_H_
#define LMSERVE_TRAINER_CHARTS_TRAINING_CHART_H_

#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "trainer/neural/training_log.h"

namespace lmserve {

// Draws a training as an SVG of 900 by 700 pixels that needs nothing else: the
// losses, the perplexities, the learning rate and the norms of the gradients,
// before clipping, over the words seen. The perplexities zoom in on where they
// end up. Any records will do, none at all too; a name of a layer of more than
// 16 letters loses its middle.
std::string DrawTrainingChart(absl::string_view title,
                              absl::Span<const TrainingRecord> records);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_CHARTS_TRAINING_CHART_H_
