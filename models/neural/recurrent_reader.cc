// SPDX-License-Identifier: Apache-2.0
#include "models/neural/recurrent_reader.h"

#include <algorithm>
#include <utility>

namespace lmserve {

RecurrentReader::RecurrentReader(absl::Span<const RecurrentLayer> layers,
                                 bool bidirectional)
    : layers_(layers),
      directions_(bidirectional ? 2 : 1),
      last_(layers.size()) {
  for (const RecurrentLayer& layer : layers.last(directions_)) {
    outputs_ += layer.units();
  }
}

const std::vector<float>& RecurrentReader::Read(
    std::vector<float> x, size_t steps, size_t rows,
    std::optional<StepVisit> visit) {
  x_ = std::move(x);
  steps_ = steps;
  rows_ = rows;
  for (size_t i = 0; i < layers_.size(); i += directions_) {
    size_t width = 0;
    for (const RecurrentLayer& layer : layers_.subspan(i, directions_)) {
      width += layer.units();
    }
    y_.resize(steps * rows * width);
    float* y = y_.data();
    for (size_t layer = i; layer < i + directions_; ++layer) {
      ReadDirection(layer, y, width, visit);
      y += layers_[layer].units();
    }
    x_.swap(y_);
  }
  return x_;
}

// Runs layer i over x_ and writes its states h to y, whose rows have the stride
// `width`.
void RecurrentReader::ReadDirection(size_t i, float* y, size_t width,
                                    std::optional<StepVisit> visit) {
  const RecurrentLayer& layer = layers_[i];
  const bool reverse = i % directions_ == 1;
  const size_t units = layer.units(), block = rows_ * layer.gates();
  projected_.resize(steps_ * block);
  layer.Project(x_.data(), steps_ * rows_, projected_.data(), &scratch_);
  State& state = last_[i];
  state.h.assign(rows_ * units, 0);
  state.c.assign(layer.has_cell_state() ? rows_ * units : 0, 0);
  for (size_t t = 0; t < steps_; ++t) {
    const size_t step = reverse ? steps_ - 1 - t : t;
    float* projected = projected_.data() + step * block;
    // The gates replace the inputs, which nothing reads again.
    float* gates = visit.has_value() ? projected : nullptr;
    layer.Step(projected, state.h.data(), state.c.data(), rows_, gates,
               state.h.data(), state.c.data(), &scratch_);
    if (visit.has_value()) {
      (*visit)(i, step, layer.Name(gates, state.h.data(), state.c.data()));
    }
    float* to = y + step * rows_ * width;
    for (size_t r = 0; r < rows_; ++r) {
      std::copy_n(state.h.data() + r * units, units, to + r * width);
    }
  }
}

}  // namespace lmserve
