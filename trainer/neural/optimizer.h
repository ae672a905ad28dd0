// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_NEURAL_OPTIMIZER_H_
#define LMSERVE_TRAINER_NEURAL_OPTIMIZER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
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

  // Returns the rate of a step for Skip().
  static double SkippedRate(double learning_rate, uint64_t step);

  // Updates the numbers [begin, end) of the array `values` as steps with
  // gradients of 0 would, without weight decay. `rates` are the SkippedRate()
  // of these steps, at least one, which follow the step `last`. Plain descent
  // changes nothing. Adam goes on along the mean m of the gradient, whose
  // square has the mean v: with r = beta1 / sqrt(beta2), the sum of its steps
  // is
  //
  //   m / (sqrt(v) + epsilon sqrt(1 - beta2^t)) * sum_k a_k r^k,
  //   a_k = learning rate * sqrt(1 - beta2^t) / (1 - beta1^t) of step t, the
  //   k-th
  //
  // but that the factor of epsilon is that of the first of them, and that the
  // terms after the 160th are left out, since r^160 is 5e-8.
  void Skip(uint64_t last, absl::Span<const double> rates, size_t begin,
            size_t end, float* values);

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
