// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_NEURAL_LINEAR_H_
#define LMSERVE_MODELS_NEURAL_LINEAR_H_

#include <cstddef>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "models/neural/weight_matrix.h"

namespace lmserve {

// Working memory of Linear::Apply(), which grows as needed. Not thread-safe:
// each thread needs its own.
struct LinearScratch {
  std::vector<std::byte> inputs;   // x in the precision of the weights
  std::vector<int32_t> products;   // integer sums of int8 weights
  std::vector<float> scales;       // one for each row of x
  std::vector<std::byte> library;  // working memory of oneDNN
};

// A linear layer y = x W^T + b with constant weights, which are packed once for
// the processor. A row of y has the same bits in a batch of any size. Owns its
// weights. Immutable: any number of threads may use one instance.
class Linear {
 public:
  // Packs a copy of the weights W (outputs, inputs). The bias b has one number
  // for each output, or is empty. If the processor has instructions for bf16 or
  // int8 weights, they are multiplied in that precision, and x is rounded to
  // it, too (for int8: to 255 steps with one scale for each row). Otherwise
  // they are converted to float. Returns INTERNAL if oneDNN fails.
  static absl::StatusOr<std::unique_ptr<const Linear>> Create(
      const WeightMatrix& weights, absl::Span<const float> bias);

  virtual ~Linear() = default;

  size_t inputs() const { return inputs_; }
  size_t outputs() const { return outputs_; }

  // Computes y (rows, outputs) from x (rows, inputs), both row-major.
  virtual void Apply(const float* x, size_t rows, float* y,
                     LinearScratch* scratch) const = 0;

 protected:
  Linear(size_t inputs, size_t outputs) : inputs_(inputs), outputs_(outputs) {}

 private:
  const size_t inputs_;
  const size_t outputs_;
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NEURAL_LINEAR_H_
