// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_NEURAL_RECURRENT_LAYER_H_
#define LMSERVE_MODELS_NEURAL_RECURRENT_LAYER_H_

#include <cstddef>
#include <memory>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "models/inspectable_model.h"
#include "models/neural/kernels.h"
#include "models/neural/linear.h"

namespace lmserve {

enum class Cell { kRnn, kGru, kLstm };

// Returns the number of gates of a cell, which is the number of rows that each
// unit has in W_ih and W_hh: 1 for an RNN, 3 for a GRU, 4 for an LSTM.
size_t GateCount(Cell cell);

// Receives the values of one layer after one step of a text.
using StepVisit =
    absl::FunctionRef<void(size_t layer, size_t step, const CellValues&)>;

// One layer of a recurrent network in one direction:
//
//   h_t, c_t = cell(W_ih x_t + b_ih, W_hh h_{t-1} + b_hh, c_{t-1})
//
// where only an LSTM has a cell state c. kernels.h has the equations of the
// cells. Project() computes W_ih x_t for all steps in one product; Step() does
// the rest for one step.
//
// Owns its packed weights. Immutable: any number of threads may use one
// instance.
class RecurrentLayer {
 public:
  // The weights with the names, the shapes and the order of gates of PyTorch.
  struct Weights {
    Cell cell;
    Activation activation;   // used by Cell::kRnn only
    WeightMatrix weight_ih;  // (gates * units, inputs); empty: no inputs
    WeightMatrix weight_hh;  // (gates * units, units)
    absl::Span<const float> bias_ih;  // (gates * units)
    absl::Span<const float> bias_hh;  // (gates * units)
  };

  // Working memory of Project() and Step(). Not thread-safe: each thread needs
  // its own.
  struct Scratch {
    std::vector<float> recurrent;
    LinearScratch linear;
  };

  // Packs a copy of the weights. Fails as Linear::Create() does.
  static absl::StatusOr<RecurrentLayer> Create(const Weights& weights);

  size_t inputs() const { return input_ == nullptr ? 0 : input_->inputs(); }
  size_t units() const { return recurrent_->inputs(); }
  // The number of gates of all units: GateCount(cell) * units().
  size_t gates() const { return recurrent_->outputs(); }
  bool has_cell_state() const { return cell_ == Cell::kLstm; }

  // Computes projected (rows, gates) = x W_ih^T + biases from x (rows, inputs).
  // Does not read x if the layer has no inputs.
  void Project(const float* x, size_t rows, float* projected,
               Scratch* scratch) const;

  // Computes one step of `rows` texts: the new states h and c (rows, units)
  // from the projected inputs (rows, gates) and the previous states old_h and
  // old_c (rows, units). h and c may be the same arrays as old_h and old_c. c
  // and old_c are used only if has_cell_state(). If gate_values is not
  // null, it receives the gates (rows, gates) of an LSTM or a GRU in the order
  // of kernels.h; it may be the same array as projected.
  void Step(const float* projected, const float* old_h, const float* old_c,
            size_t rows, float* gate_values, float* h, float* c,
            Scratch* scratch) const;

  // Names the values of one text after a step: a row of gate_values, h and c.
  CellValues Name(const float* gate_values, const float* h,
                  const float* c) const;
  // Returns the quantities that Name() names, in ascending order.
  std::vector<Quantity> quantities() const;

 private:
  RecurrentLayer() = default;

  Cell cell_ = Cell::kRnn;
  Activation activation_ = Activation::kTanh;
  std::unique_ptr<const Linear> input_;  // x W_ih^T + biases; null: no inputs
  std::vector<float> input_bias_;        // the biases if there are no inputs
  std::unique_ptr<const Linear> recurrent_;  // h W_hh^T, for a GRU with b_hh
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NEURAL_RECURRENT_LAYER_H_
