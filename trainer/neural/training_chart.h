#ifndef LMSERVE_TRAINER_NEURAL_TRAINING_CHART_H_
#define LMSERVE_TRAINER_NEURAL_TRAINING_CHART_H_
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "trainer/neural/training_log.h"
namespace lmserve {
std::string DrawTrainingChart(absl::string_view title,
                              absl::Span<const TrainingRecord> records);
}  // namespace lmserve
#endif
