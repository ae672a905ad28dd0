#ifndef LMSERVE_MODELS_NEURAL_LINEAR_H_
#define LMSERVE_MODELS_NEURAL_LINEAR_H_

#include <cstddef>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "models/neural/weight_matrix.h"

namespace lmserve {

// Memory that products work in; grows to what was needed. One thread at a time.
struct LinearScratch {
  std::vector<std::byte> inputs;   // in the precision of the weights
  std::vector<int32_t> products;   // of whole numbers
  std::vector<float> scales;       // of the rows of inputs
  std::vector<std::byte> library;  // oneDNN's own
};

// y = x W^T + b, with the weights packed once for the machine at hand. A row of
// y has the same bits in whatever batch it is computed. Immutable: any number
// of threads may use one at a time.
class Linear {
 public:
  // Packs a copy of the weights, (outputs, inputs). The bias has a number an
  // output, or is empty. Weights in bf16 and int8 are multiplied as such where
  // the machine has instructions for it (x is then rounded, too: to bf16, or to
  // 255 steps of a scale a row), and as floats elsewhere. Fails with INTERNAL
  // where oneDNN does.
  static absl::StatusOr<std::unique_ptr<const Linear>> Create(
      const WeightMatrix& weights, absl::Span<const float> bias);

  virtual ~Linear() = default;

  size_t inputs() const { return inputs_; }
  size_t outputs() const { return outputs_; }

  // y (rows, outputs) from x (rows, inputs), both row by row.
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
