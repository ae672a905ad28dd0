#ifndef LMSERVE_MODELS_NEURAL_RECURRENT_LAYER_H_
#define LMSERVE_MODELS_NEURAL_RECURRENT_LAYER_H_

#include <cstddef>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "models/neural/kernels.h"
#include "models/neural/linear.h"

namespace lmserve {

enum class Cell { kRnn, kGru, kLstm };

// How many products W x a unit of a cell has: 1, 3, 4.
size_t GateCount(Cell cell);

// One layer of a recurrent network. Its products with the inputs of all steps
// are made at once; what is left a step is the product with the state before.
// Immutable: any number of threads may use one at a time.
class RecurrentLayer {
 public:
  // The weights under PyTorch's names and in its shapes; the gates' rows one
  // after the other in its order.
  struct Weights {
    Cell cell;
    Activation activation;   // of Cell::kRnn
    WeightMatrix weight_ih;  // (gates * units, inputs); empty: no inputs
    WeightMatrix weight_hh;  // (gates * units, units)
    absl::Span<const float> bias_ih;  // (gates * units)
    absl::Span<const float> bias_hh;  // (gates * units)
  };

  // The memory that steps work in. One thread at a time.
  struct Scratch {
    std::vector<float> recurrent;
    LinearScratch linear;
  };

  // Packs a copy of the weights. Fails with INTERNAL where Linear does.
  static absl::StatusOr<RecurrentLayer> Create(const Weights& weights);

  size_t inputs() const { return input_ == nullptr ? 0 : input_->inputs(); }
  size_t units() const { return recurrent_->inputs(); }
  size_t gates() const { return recurrent_->outputs(); }  // of all units
  bool has_cell_state() const { return cell_ == Cell::kLstm; }

  // projected (rows, gates) = x W_ih^T + biases, for x (rows, inputs), which is
  // not read where there are no inputs.
  void Project(const float* x, size_t rows, float* projected,
               Scratch* scratch) const;

  // One step of some texts: from the projected inputs and the states before,
  // old_h and old_c (rows, units), makes h and c, which may be old_h and old_c.
  // c and old_c are read and written only where the cell has one.
  void Step(const float* projected, const float* old_h, const float* old_c,
            size_t rows, float* h, float* c, Scratch* scratch) const;

 private:
  RecurrentLayer() = default;

  Cell cell_ = Cell::kRnn;
  Activation activation_ = Activation::kTanh;
  std::unique_ptr<const Linear> input_;  // null: there are no inputs,
  std::vector<float> input_bias_;        // but these
  std::unique_ptr<const Linear> recurrent_;
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NEURAL_RECURRENT_LAYER_H_
