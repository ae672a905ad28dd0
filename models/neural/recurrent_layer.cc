// SPDX-License-Identifier: Apache-2.0
#include "models/neural/recurrent_layer.h"

#include <algorithm>
#include <utility>

namespace lmserve {

size_t GateCount(Cell cell) {
  switch (cell) {
    case Cell::kRnn:
      return 1;
    case Cell::kGru:
      return 3;
    case Cell::kLstm:
      return 4;
  }
  return 0;
}

namespace {

// Returns the gates of a cell in the order in which kernels.h computes them.
absl::Span<const Quantity> GatesOf(Cell cell) {
  static constexpr Quantity kGru[] = {
      Quantity::kResetGate, Quantity::kUpdateGate, Quantity::kNewMemory};
  static constexpr Quantity kLstm[] = {
      Quantity::kInputGate, Quantity::kForgetGate, Quantity::kNewMemory,
      Quantity::kOutputGate};
  switch (cell) {
    case Cell::kRnn:
      return {};
    case Cell::kGru:
      return kGru;
    case Cell::kLstm:
      return kLstm;
  }
  return {};
}

}  // namespace

// RNN and LSTM only add both products, so b_ih + b_hh is added to the first
// one. A GRU multiplies W_hh h + b_hh by the reset gate, so it needs b_hh
// apart.
absl::StatusOr<RecurrentLayer> RecurrentLayer::Create(const Weights& weights) {
  std::vector<float> input_bias(weights.bias_ih.begin(), weights.bias_ih.end());
  absl::Span<const float> recurrent_bias;
  if (weights.cell == Cell::kGru) {
    recurrent_bias = weights.bias_hh;
  } else {
    for (size_t i = 0; i < input_bias.size(); ++i) {
      input_bias[i] += weights.bias_hh[i];
    }
  }
  auto recurrent = Linear::Create(weights.weight_hh, recurrent_bias);
  if (!recurrent.ok()) return recurrent.status();
  RecurrentLayer layer;
  layer.cell_ = weights.cell;
  layer.activation_ = weights.activation;
  layer.recurrent_ = *std::move(recurrent);
  if (weights.weight_ih.cols == 0) {
    layer.input_bias_ = std::move(input_bias);
    return layer;
  }
  auto input = Linear::Create(weights.weight_ih, input_bias);
  if (!input.ok()) return input.status();
  layer.input_ = *std::move(input);
  return layer;
}

void RecurrentLayer::Project(const float* x, size_t rows, float* projected,
                             Scratch* scratch) const {
  if (input_ != nullptr) {
    input_->Apply(x, rows, projected, &scratch->linear);
    return;
  }
  for (size_t r = 0; r < rows; ++r) {
    std::copy_n(input_bias_.data(), gates(), projected + r * gates());
  }
}

void RecurrentLayer::Step(const float* projected, const float* old_h,
                          const float* old_c, size_t rows, float* gate_values,
                          float* h, float* c, Scratch* scratch) const {
  const size_t n = units();
  scratch->recurrent.resize(
      std::max(scratch->recurrent.size(), rows * gates()));
  float* recurrent = scratch->recurrent.data();
  // recurrent = old_h W_hh^T, for a GRU with b_hh added
  recurrent_->Apply(old_h, rows, recurrent, &scratch->linear);
  for (size_t r = 0; r < rows; ++r) {
    const float* input = projected + r * gates();
    const float* product = recurrent + r * gates();
    float* values =
        gate_values == nullptr ? nullptr : gate_values + r * gates();
    switch (cell_) {
      case Cell::kRnn:
        RnnCell(activation_, n, input, product, h + r * n);
        break;
      case Cell::kGru:
        GruCell(n, input, product, old_h + r * n, values, h + r * n);
        break;
      case Cell::kLstm:
        LstmCell(n, input, product, old_c + r * n, values, c + r * n,
                 h + r * n);
        break;
    }
  }
}

CellValues RecurrentLayer::Name(const float* gate_values, const float* h,
                                const float* c) const {
  CellValues values(units());
  for (Quantity gate : GatesOf(cell_)) {
    values.Set(gate, gate_values);
    gate_values += units();
  }
  if (has_cell_state()) values.Set(Quantity::kFinalMemory, c);
  values.Set(Quantity::kHidden, h);
  return values;
}

std::vector<Quantity> RecurrentLayer::quantities() const {
  const auto gates = GatesOf(cell_);
  std::vector<Quantity> quantities(gates.begin(), gates.end());
  if (has_cell_state()) quantities.push_back(Quantity::kFinalMemory);
  quantities.push_back(Quantity::kHidden);
  std::sort(quantities.begin(), quantities.end());
  return quantities;
}

}  // namespace lmserve
