// SPDX-License-Identifier: Apache-2.0
#include "trainer/neural/bridge.h"

#include <algorithm>

#include "models/neural/kernels.h"
#include "models/neural/translation_weights.h"
#include "trainer/neural/cell_gradients.h"

namespace lmserve {

template <typename T>
Bridge<T>::Bridge(size_t units, size_t layers, bool has_cell_state,
                  ParameterLayout* layout)
    : units_(units), layout_(*layout) {
  const auto add = [&](const char* state, size_t layer) {
    return Linear{layout->AddMatrix(BridgeTensor("weight", state, layer), units,
                                    2 * units),
                  layout->AddVector(BridgeTensor("bias", state, layer), units)};
  };
  for (size_t layer = 0; layer < layers; ++layer) {
    h_.push_back(add("h", layer));
    if (has_cell_state) c_.push_back(add("c", layer));
  }
  joined_h_.resize(h_.size());
  joined_c_.resize(c_.size());
}

template <typename T>
typename Bridge<T>::State Bridge<T>::Forward(const T* values,
                                             const State& encoded) {
  State state;
  for (size_t i = 0; i < h_.size(); ++i) {
    state.h.push_back(Apply(values, h_[i], encoded.h[2 * i],
                            encoded.h[2 * i + 1], &joined_h_[i]));
    TanhInPlace(absl::MakeSpan(state.h.back()));
  }
  for (size_t i = 0; i < c_.size(); ++i) {
    state.c.push_back(Apply(values, c_[i], encoded.c[2 * i],
                            encoded.c[2 * i + 1], &joined_c_[i]));
  }
  states_h_ = state.h;
  return state;
}

template <typename T>
typename Bridge<T>::State Bridge<T>::Backward(const T* values,
                                              const State& d_state,
                                              T* gradients) const {
  State d_encoded;
  d_encoded.h.resize(2 * h_.size());
  d_encoded.c.resize(2 * c_.size());
  for (size_t i = 0; i < h_.size(); ++i) {
    std::vector<T> d_sum = d_state.h[i];
    for (size_t k = 0; k < d_sum.size(); ++k) {
      d_sum[k] *= 1 - states_h_[i][k] * states_h_[i][k];
    }
    ApplyBackward(values, h_[i], joined_h_[i], d_sum, &d_encoded.h[2 * i],
                  &d_encoded.h[2 * i + 1], gradients);
  }
  for (size_t i = 0; i < c_.size(); ++i) {
    ApplyBackward(values, c_[i], joined_c_[i], d_state.c[i],
                  &d_encoded.c[2 * i], &d_encoded.c[2 * i + 1], gradients);
  }
  return d_encoded;
}

template <typename T>
std::vector<T> Bridge<T>::Apply(const T* values, const Linear& linear,
                                const std::vector<T>& forward,
                                const std::vector<T>& backward,
                                std::vector<T>* joined) {
  const size_t streams = forward.size() / units_;
  joined->resize(streams * 2 * units_);
  std::vector<T> y(streams * units_);
  const auto bias = layout_.View(values, linear.bias);
  for (size_t s = 0; s < streams; ++s) {
    T* row = joined->data() + s * 2 * units_;
    std::copy_n(forward.data() + s * units_, units_, row);
    std::copy_n(backward.data() + s * units_, units_, row + units_);
    std::copy_n(bias.data, units_, y.data() + s * units_);
  }
  Gemm(Transpose::kNo, Transpose::kYes,
       MatrixView<const T>(joined->data(), streams, 2 * units_),
       layout_.View(values, linear.weight), 1,
       MatrixView<T>(y.data(), streams, units_));
  return y;
}

template <typename T>
void Bridge<T>::ApplyBackward(const T* values, const Linear& linear,
                              const std::vector<T>& joined,
                              const std::vector<T>& dy,
                              std::vector<T>* d_forward,
                              std::vector<T>* d_backward, T* gradients) const {
  const size_t streams = dy.size() / units_;
  const MatrixView<const T> d_sum(dy.data(), streams, units_);
  const MatrixView<const T> weight = layout_.View(values, linear.weight);
  Gemm(Transpose::kYes, Transpose::kNo, d_sum,
       MatrixView<const T>(joined.data(), streams, 2 * units_), 1,
       layout_.View(gradients, linear.weight));
  const auto d_bias = layout_.View(gradients, linear.bias);
  for (size_t i = 0; i < dy.size(); ++i) d_bias.data[i % units_] += dy[i];
  d_forward->resize(streams * units_);
  d_backward->resize(streams * units_);
  Gemm(Transpose::kNo, Transpose::kNo, d_sum, weight.Cols(0, units_), 0,
       MatrixView<T>(d_forward->data(), streams, units_));
  Gemm(Transpose::kNo, Transpose::kNo, d_sum, weight.Cols(units_, units_), 0,
       MatrixView<T>(d_backward->data(), streams, units_));
}

template class Bridge<float>;
template class Bridge<double>;

}  // namespace lmserve
