// SPDX-License-Identifier: Apache-2.0
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

// Parses "sgd" or "adam". Fails with INVALID_ARGUMENT.
absl::StatusOr<OptimizerKind> ParseOptimizer(absl::string_view name);

// Updates parameters by their gradient, with plain stochastic gradient descent
// or Adam (Kingma and Ba 2015; beta1 0.9, beta2 0.999, epsilon 1e-8). Weight
// decay is decoupled from the gradient and applies to matrices only (Loshchilov
// and Hutter 2019). Threads may update disjoint ranges concurrently.
class Optimizer {
 public:
  // The layout must outlive the optimizer.
  Optimizer(OptimizerKind kind, double weight_decay,
            const ParameterLayout& layout);

  // The size of one step.
  struct Rate {
    double learning_rate;
    double gradient_factor;  // the gradient is multiplied by it, for clipping
    uint64_t step;           // from 1
  };

  // Updates the numbers [begin, end) of the array `values`.
  void Step(const Rate& rate, const float* gradients, size_t begin, size_t end,
            float* values);

  // The state of the optimizer. Adam has the running means of the gradient and
  // of its square, one number per parameter each; plain descent has no state.
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
