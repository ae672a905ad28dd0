// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_NEURAL_ATTENTION_H_
#define LMSERVE_TRAINER_NEURAL_ATTENTION_H_

#include <cstddef>
#include <vector>

#include "models/neural/gemm.h"
#include "trainer/neural/parameters.h"

namespace lmserve {

// Global attention of a decoder, for training (Luong et al. 2015, score
// function "general"). The decoder's state h attends to all states s_j of the
// encoder:
//   a_j = softmax_j(h^T W_a s_j)     c = sum_j a_j s_j
//   y = tanh(W_c c + W_h h)
// Data have the shape (steps * streams, width); the rows of a step are
// adjacent. The object keeps the values that Backward() needs. Not thread-safe.
template <typename T>
class Attention {
 public:
  // Adds the parameters W_a and W_c, both (units, source_units), and W_h,
  // (units, units), to the layout, which must outlive the object.
  Attention(size_t units, size_t source_units, ParameterLayout* layout);

  // Returns y, which has the shape of h and is valid until the next call. h are
  // the decoder's states, (steps * streams, units), and `source` the encoder's
  // states of the same streams; both must stay valid until Backward().
  const std::vector<T>& Forward(const T* values, MatrixView<const T> h,
                                MatrixView<const T> source, size_t streams);

  // Computes the gradients from dE/dy, which it overwrites: sets *dh to dE/dh,
  // adds dE/ds to *d_source and dE/d(parameter) to the gradients.
  void Backward(const T* values, std::vector<T>* dy, MatrixView<T> dh,
                MatrixView<T> d_source, T* gradients);

 private:
  // Returns the rows of one stream.
  template <typename U>
  MatrixView<U> Stream(MatrixView<U> all, size_t stream) const {
    return {all.row(stream), all.rows / streams_, all.cols,
            all.stride * streams_};
  }
  // Returns the attention weights a of one stream, (steps, source steps).
  MatrixView<T> Weights(size_t stream) {
    const size_t steps = h_.rows / streams_;
    const size_t source_steps = source_.rows / streams_;
    return {weights_.data() + stream * steps * source_steps, steps,
            source_steps};
  }
  MatrixView<T> Keys() { return {keys_.data(), source_.rows, units_}; }
  MatrixView<T> Contexts() {
    return {contexts_.data(), h_.rows, source_units_};
  }

  const size_t units_;
  const size_t source_units_;
  const ParameterLayout& layout_;
  const size_t key_weight_;
  const size_t context_weight_;
  const size_t state_weight_;

  size_t streams_ = 0;
  MatrixView<const T> h_ = {nullptr, 0, 0};
  MatrixView<const T> source_ = {nullptr, 0, 0};
  std::vector<T> keys_;  // W_a s for every row of the source
  std::vector<T> weights_, contexts_, y_;
  std::vector<T> d_keys_, d_weights_, d_contexts_;
};

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_NEURAL_ATTENTION_H_
