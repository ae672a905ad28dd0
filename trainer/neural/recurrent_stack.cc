// SPDX-License-Identifier: Apache-2.0
#include "trainer/neural/recurrent_stack.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "models/neural/network_weights.h"
#include "trainer/neural/cell_gradients.h"
#include "trainer/neural/embedding.h"

namespace lmserve {
namespace {

// Adds the sum of all rows to `sums`.
template <typename T>
void AddColumnSums(const std::vector<T>& rows, MatrixView<T> sums) {
  const size_t width = sums.rows;
  for (size_t begin = 0; begin < rows.size(); begin += width) {
    for (size_t i = 0; i < width; ++i) sums.data[i] += rows[begin + i];
  }
}

// Copies `width` columns between two matrices with the same number of rows.
template <typename T>
void CopyColumns(const T* from, size_t from_width, T* to, size_t to_width,
                 size_t rows, size_t width) {
  for (size_t r = 0; r < rows; ++r) {
    std::copy_n(from + r * from_width, width, to + r * to_width);
  }
}

}  // namespace

std::map<std::string, std::string> RecurrentMetadata(
    const RecurrentStackOptions& options, const Cutoffs& cutoffs) {
  std::map<std::string, std::string> metadata;
  if (options.cell == Cell::kRnn) {
    metadata[std::string(kNonlinearityKey)] =
        std::string(ActivationName(options.activation));
  }
  if (!cutoffs.empty()) {
    metadata[std::string(kCutoffsKey)] = FormatCutoffs(cutoffs);
  }
  return metadata;
}

template <typename T>
RecurrentStack<T>::RecurrentStack(const RecurrentStackOptions& options,
                                  ParameterLayout* layout)
    : options_(options), layout_(*layout), products_(options.products) {
  for (size_t layer = 0; layer < options.layers; ++layer) {
    dropouts_.emplace_back(options.dropout);
    for (size_t d = 0; d < directions(); ++d) {
      const auto name = [&](const char* what) {
        return options.prefix + LayerTensor(what, layer, d == 1);
      };
      Parameters& added = parameters_.emplace_back();
      weight_drops_.emplace_back(options.weight_drop);
      if (inputs(layer) > 0) {
        added.weight_ih =
            layout->AddMatrix(name("weight_ih"), gates(), inputs(layer));
      }
      added.weight_hh =
          layout->AddMatrix(name("weight_hh"), gates(), options.units);
      added.bias_ih = layout->AddVector(name("bias_ih"), gates());
      added.bias_hh = layout->AddVector(name("bias_hh"), gates());
    }
  }
  dropouts_.emplace_back(options.dropout);
  runs_.resize(parameters_.size());
  inputs_.resize(options.layers + 1);
}

template <typename T>
void RecurrentStack<T>::Initialize(T* values, Random* random) const {
  const size_t n = options_.units;
  const double range = 1 / std::sqrt(static_cast<double>(n));
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const Parameters& p = parameters_[i];
    if (inputs(i / directions()) > 0) {
      FillUniform(layout_.View(values, p.weight_ih), range, random);
    }
    FillUniform(layout_.View(values, p.weight_hh), range, random);
    const auto bias_ih = layout_.View(values, p.bias_ih);
    FillUniform(bias_ih, range, random);
    FillUniform(layout_.View(values, p.bias_hh), range, random);
    if (options_.cell != Cell::kLstm) continue;
    for (size_t k = n; k < 2 * n; ++k) bias_ih.data[k] += 1;  // gates i f g o
  }
}

template <typename T>
void RecurrentStack<T>::StartAtIdentity(T* values) const {
  for (const Parameters& p : parameters_) {
    for (size_t parameter : {p.weight_hh, p.bias_ih, p.bias_hh}) {
      const auto view = layout_.View(values, parameter);
      std::fill_n(view.data, view.rows * view.cols, T{0});
    }
    const auto weight_hh = layout_.View(values, p.weight_hh);
    for (size_t k = 0; k < options_.units; ++k) weight_hh.row(k)[k] = 1;
  }
}

template <typename T>
typename RecurrentStack<T>::State RecurrentStack<T>::MakeState(
    size_t streams) const {
  State state;
  const std::vector<T> zeros(streams * options_.units);
  state.h.assign(parameters_.size(), zeros);
  if (has_cell_state()) state.c.assign(parameters_.size(), zeros);
  return state;
}

template <typename T>
const T* RecurrentStack<T>::Forward(const T* values, size_t steps,
                                    size_t streams, std::vector<T> x,
                                    State* state, Random* random) {
  steps_ = steps;
  streams_ = streams;
  inputs_[0] = std::move(x);
  for (size_t layer = 0; layer < options_.layers; ++layer) {
    dropouts_[layer].Forward(inputs_[layer].data(), inputs_[layer].size(),
                             random);
    inputs_[layer + 1].resize(steps * streams * outputs());
    for (size_t d = 0; d < directions(); ++d) {
      DropWeights(values, layer * directions() + d, random);
      ForwardDirection(values, layer, d == 1, state);
    }
  }
  dropouts_.back().Forward(inputs_.back().data(), inputs_.back().size(),
                           random);
  return inputs_.back().data();
}

template <typename T>
void RecurrentStack<T>::DropWeights(const T* values, size_t index,
                                    Random* random) {
  std::vector<T>& dropped = runs_[index].weight_hh;
  dropped.clear();
  const bool drops = random != nullptr && options_.weight_drop > 0;
  if (drops) {
    const auto weight_hh = layout_.View(values, parameters_[index].weight_hh);
    dropped.assign(weight_hh.data,
                   weight_hh.data + weight_hh.rows * weight_hh.cols);
  }
  weight_drops_[index].Forward(dropped.data(), dropped.size(),
                               drops ? random : nullptr);
}

template <typename T>
MatrixView<const T> RecurrentStack<T>::RecurrentWeights(const T* values,
                                                        size_t index) const {
  const std::vector<T>& dropped = runs_[index].weight_hh;
  if (dropped.empty()) {
    return layout_.View(values, parameters_[index].weight_hh);
  }
  return {dropped.data(), gates(), options_.units};
}

template <typename T>
void RecurrentStack<T>::ForwardDirection(const T* values, size_t layer,
                                         bool reverse, State* state) {
  const size_t index = layer * directions() + reverse;
  const Parameters& p = parameters_[index];
  const size_t rows = steps_ * streams_;
  const size_t block = streams_ * options_.units;
  Run& run = runs_[index];
  run.gates.resize(rows * gates());
  run.recurrent.resize(rows * gates());
  run.h.resize((steps_ + 1) * block);
  if (has_cell_state()) run.c.resize((steps_ + 1) * block);

  const size_t before = BlockBefore(StepAt(0, reverse), reverse);
  std::copy_n(state->h[index].data(), block, run.h.data() + before * block);
  if (has_cell_state()) {
    std::copy_n(state->c[index].data(), block, run.c.data() + before * block);
  }
  // gates = x W_ih^T + b_ih
  const auto bias_ih = layout_.View(values, p.bias_ih);
  for (size_t r = 0; r < rows; ++r) {
    std::copy_n(bias_ih.data, gates(), run.gates.data() + r * gates());
  }
  if (inputs(layer) > 0) {
    products_.Gemm(Transpose::kNo, Transpose::kYes,
                   {inputs_[layer].data(), rows, inputs(layer)},
                   layout_.View(values, p.weight_ih), 1,
                   {run.gates.data(), rows, gates()});
  }
  const auto bias_hh = layout_.View(values, p.bias_hh);
  const auto weight_hh = products_.Prepare(
      Transpose::kYes, RecurrentWeights(values, index), streams_);
  for (size_t i = 0; i < steps_; ++i) {
    const size_t step = StepAt(i, reverse);
    T* recurrent = run.recurrent.data() + step * streams_ * gates();
    for (size_t s = 0; s < streams_; ++s) {
      std::copy_n(bias_hh.data, gates(), recurrent + s * gates());
    }
    products_.Gemm(Transpose::kNo,
                   {run.h.data() + BlockBefore(step, reverse) * block, streams_,
                    options_.units},
                   weight_hh, 1, {recurrent, streams_, gates()});
    Step(run, step, reverse);
  }
  const size_t last = BlockAfter(StepAt(steps_ - 1, reverse), reverse);
  std::copy_n(run.h.data() + last * block, block, state->h[index].data());
  if (has_cell_state()) {
    std::copy_n(run.c.data() + last * block, block, state->c[index].data());
  }
  CopyColumns(run.h.data() + BlockAfter(0, reverse) * block, options_.units,
              inputs_[layer + 1].data() + reverse * options_.units, outputs(),
              rows, options_.units);
}

template <typename T>
void RecurrentStack<T>::Step(Run& run, size_t step, bool reverse) const {
  const size_t n = options_.units;
  const size_t before = BlockBefore(step, reverse) * streams_ * n;
  const size_t after = BlockAfter(step, reverse) * streams_ * n;
  for (size_t s = 0; s < streams_; ++s) {
    T* gates_row = run.gates.data() + (step * streams_ + s) * gates();
    const T* recurrent = run.recurrent.data() + (step * streams_ + s) * gates();
    T* h = run.h.data() + after + s * n;
    switch (options_.cell) {
      case Cell::kRnn:
        RnnCell(options_.activation, n, gates_row, recurrent, h);
        break;
      case Cell::kGru:
        GruCell(n, gates_row, recurrent, run.h.data() + before + s * n,
                gates_row, h);
        break;
      case Cell::kLstm:
        LstmCell(n, gates_row, recurrent, run.c.data() + before + s * n,
                 gates_row, run.c.data() + after + s * n, h);
        break;
    }
  }
}

template <typename T>
const std::vector<T>& RecurrentStack<T>::Backward(
    const T* values, std::vector<T> d_output, State* d_state, T* gradients,
    StateGradients* states, const std::vector<T>* d_first) {
  const auto add_first = [d_first](size_t layer, std::vector<T>* d) {
    if (layer != 1 || d_first == nullptr) return;
    for (size_t i = 0; i < d->size(); ++i) (*d)[i] += (*d_first)[i];
  };
  if (states != nullptr) {
    const std::vector<T> zeros(steps_ * streams_ * options_.units);
    states->h.assign(parameters_.size(), zeros);
    states->c.assign(has_cell_state() ? parameters_.size() : 0, zeros);
  }
  add_first(options_.layers, &d_output);
  dropouts_.back().Backward(d_output.data(), d_output.size());
  for (size_t layer = options_.layers; layer-- > 0;) {
    dx_.assign(steps_ * streams_ * inputs(layer), 0);
    for (size_t d = 0; d < directions(); ++d) {
      BackwardDirection(values, layer, d == 1, d_output, d_state, &dx_,
                        gradients, states);
    }
    add_first(layer, &dx_);
    dropouts_[layer].Backward(dx_.data(), dx_.size());
    if (layer > 0) d_output.swap(dx_);
  }
  return dx_;
}

template <typename T>
void RecurrentStack<T>::BackwardDirection(
    const T* values, size_t layer, bool reverse, const std::vector<T>& d_output,
    State* d_state, std::vector<T>* dx, T* gradients, StateGradients* states) {
  const size_t index = layer * directions() + reverse;
  const Parameters& p = parameters_[index];
  const Run& run = runs_[index];
  const size_t rows = steps_ * streams_, n = options_.units;
  const size_t block = streams_ * n;
  d_input_.resize(rows * gates());
  if (options_.cell == Cell::kGru) d_recurrent_.resize(rows * gates());
  const auto weight_hh = products_.Prepare(
      Transpose::kNo, RecurrentWeights(values, index), streams_);
  const std::vector<T>& d_sums =
      options_.cell == Cell::kGru ? d_recurrent_ : d_input_;

  std::vector<T> dh(block), next_dh(block), dc(block);
  if (d_state != nullptr) {
    next_dh = d_state->h[index];
    if (has_cell_state()) dc = d_state->c[index];
  }
  for (size_t i = steps_; i-- > 0;) {
    const size_t step = StepAt(i, reverse);
    for (size_t s = 0; s < streams_; ++s) {
      const T* d =
          d_output.data() + (step * streams_ + s) * outputs() + reverse * n;
      for (size_t k = 0; k < n; ++k) dh[s * n + k] = next_dh[s * n + k] + d[k];
    }
    std::fill(next_dh.begin(), next_dh.end(), T{0});
    if (states != nullptr) {
      KeepStateGradients(index, step, reverse, dh.data(), dc.data(), states);
    }
    StepBackward(run, step, reverse, dh.data(), dc.data(), next_dh.data());
    products_.Gemm(
        Transpose::kNo,
        {d_sums.data() + step * streams_ * gates(), streams_, gates()},
        weight_hh, 1, {next_dh.data(), streams_, n});
  }
  if (d_state != nullptr) {
    d_state->h[index] = next_dh;
    if (has_cell_state()) d_state->c[index] = dc;
  }
  const MatrixView<const T> d_in(d_input_.data(), rows, gates());
  const MatrixView<const T> d_rec(d_sums.data(), rows, gates());
  const MatrixView<const T> old_h(
      run.h.data() + BlockBefore(0, reverse) * block, rows, n);
  const auto d_weight_hh = layout_.View(gradients, p.weight_hh);
  if (run.weight_hh.empty()) {
    products_.Gemm(Transpose::kYes, Transpose::kNo, d_rec, old_h, 1,
                   d_weight_hh);
  } else {
    d_dropped_.resize(gates() * n);
    products_.Gemm(Transpose::kYes, Transpose::kNo, d_rec, old_h, 0,
                   {d_dropped_.data(), gates(), n});
    weight_drops_[index].Backward(d_dropped_.data(), d_dropped_.size());
    for (size_t i = 0; i < d_dropped_.size(); ++i) {
      d_weight_hh.data[i] += d_dropped_[i];
    }
  }
  AddColumnSums(d_input_, layout_.View(gradients, p.bias_ih));
  AddColumnSums(d_sums, layout_.View(gradients, p.bias_hh));
  if (inputs(layer) == 0) return;
  const MatrixView<const T> x(inputs_[layer].data(), rows, inputs(layer));
  products_.Gemm(Transpose::kYes, Transpose::kNo, d_in, x, 1,
                 layout_.View(gradients, p.weight_ih));
  products_.Gemm(Transpose::kNo, Transpose::kNo, d_in,
                 layout_.View(values, p.weight_ih), 1,
                 {dx->data(), rows, inputs(layer)});
}

// dh is dE/dh, and dc is dE/dc of the next step.
template <typename T>
void RecurrentStack<T>::KeepStateGradients(size_t index, size_t step,
                                           bool reverse, const T* dh,
                                           const T* dc,
                                           StateGradients* states) const {
  const size_t n = options_.units, block = streams_ * n;
  std::copy_n(dh, block, states->h[index].data() + step * block);
  if (!has_cell_state()) return;
  const Run& run = runs_[index];
  const T* c = run.c.data() + BlockAfter(step, reverse) * block;
  for (size_t s = 0; s < streams_; ++s) {
    // h = o tanh(c), with the gates i, f, g, o.
    const T* o = run.gates.data() + (step * streams_ + s) * gates() + 3 * n;
    for (size_t k = 0; k < n; ++k) {
      const T tanh_c = std::tanh(c[s * n + k]);
      states->c[index][step * block + s * n + k] =
          dc[s * n + k] + dh[s * n + k] * o[k] * (1 - tanh_c * tanh_c);
    }
  }
}

template <typename T>
void RecurrentStack<T>::StepBackward(const Run& run, size_t step, bool reverse,
                                     const T* dh, T* dc, T* d_old_h) {
  const size_t n = options_.units;
  const size_t before = BlockBefore(step, reverse) * streams_ * n;
  const size_t after = BlockAfter(step, reverse) * streams_ * n;
  for (size_t s = 0; s < streams_; ++s) {
    const size_t row = (step * streams_ + s) * gates();
    T* d_sums = d_input_.data() + row;
    switch (options_.cell) {
      case Cell::kRnn:
        RnnCellBackward(options_.activation, n, run.h.data() + after + s * n,
                        dh + s * n, d_sums);
        break;
      case Cell::kGru:
        GruCellBackward(n, run.gates.data() + row, run.recurrent.data() + row,
                        run.h.data() + before + s * n, dh + s * n, d_sums,
                        d_recurrent_.data() + row, d_old_h + s * n);
        break;
      case Cell::kLstm:
        LstmCellBackward(
            n, run.gates.data() + row, run.c.data() + before + s * n,
            run.c.data() + after + s * n, dh + s * n, dc + s * n, d_sums);
        break;
    }
  }
}

template class RecurrentStack<float>;
template class RecurrentStack<double>;

}  // namespace lmserve
