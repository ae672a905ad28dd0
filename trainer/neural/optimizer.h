#ifndef LMSERVE_TRAINER_NEURAL_OPTIMIZER_H_
#define LMSERVE_TRAINER_NEURAL_OPTIMIZER_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "trainer/neural/parameters.h"

namespace lmserve {

enum class OptimizerKind { kSgd, kAdam };

// "sgd", "adam".
absl::StatusOr<OptimizerKind> ParseOptimizer(absl::string_view name);

// Moves parameters against their gradient: plain stochastic gradient descent,
// or Adam (Kingma and Ba 2015; b1 0.9, b2 0.999, eps 1e-8). Weight decay is
// apart from the gradient, and of matrices only (Loshchilov and Hutter 2019).
// Different threads may step different ranges at a time.
class Optimizer {
 public:
  Optimizer(OptimizerKind kind, double weight_decay,
            const ParameterLayout& layout);

  // What one step moves by.
  struct Rate {
    double learning_rate;
    double gradient_factor;  // what clipping leaves of the gradient
    uint64_t step;           // from 1
  };

  // Moves the numbers [begin, end) of the array.
  void Step(const Rate& rate, const float* gradients, size_t begin, size_t end,
            float* values);

  // What it remembers: nothing, or Adam's means of the gradient and its square.
  std::vector<std::vector<float>>& moments() { return moments_; }

 private:
  void StepSgd(const Rate& rate, const float* gradients, size_t begin,
               size_t end, float* values);
  void StepAdam(const Rate& rate, const float* gradients, size_t begin,
                size_t end, float* values);
  void Decay(const Rate& rate, size_t begin, size_t end, float* values) const;

  const OptimizerKind kind_;
  const double weight_decay_;
  const ParameterLayout& layout_;
  std::vector<std::vector<float>> moments_;
};

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_NEURAL_OPTIMIZER_H_
