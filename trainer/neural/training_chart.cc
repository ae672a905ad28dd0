#include "trainer/neural/training_chart.h"
namespace lmserve {
std::string DrawTrainingChart(absl::string_view,
                              absl::Span<const TrainingRecord>) {
  return "<svg/>";
}
}  // namespace lmserve
