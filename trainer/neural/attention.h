#ifndef LMSERVE_TRAINER_NEURAL_ATTENTION_H_
#define LMSERVE_TRAINER_NEURAL_ATTENTION_H_

#include <cstddef>
#include <vector>

#include "models/neural/gemm.h"
#include "trainer/neural/parameters.h"

namespace lmserve {

// Global attention of a decoder in training (Luong et al. 2015, "general"): the
// decoder's state h looks at all states s_j of the encoder,
//   a_j = softmax_j(h^T W_a s_j)     c = sum_j a_j s_j
//   y = tanh(W_c c + W_h h)
// Data are (steps * streams, width), a step's streams beside each other. Keeps
// what the way back needs. One thread at a time.
template <typename T>
class Attention {
 public:
  // Adds W_a and W_c (units, source_units), and W_h (units, units).
  Attention(size_t units, size_t source_units, ParameterLayout* layout);

  // y, of h's shape, from the decoder's states h (steps * streams, units) and
  // the encoder's, of as many streams; both must live until Backward(), y lives
  // until the next call.
  const std::vector<T>& Forward(const T* values, MatrixView<const T> h,
                                MatrixView<const T> source, size_t streams);

  // From dE/dy, which it may change: sets dE/dh, adds to dE/ds and to
  // dE/d(parameter).
  void Backward(const T* values, std::vector<T>* dy, MatrixView<T> dh,
                MatrixView<T> d_source, T* gradients);

 private:
  // The rows of one stream.
  template <typename U>
  MatrixView<U> Stream(MatrixView<U> all, size_t stream) const {
    return {all.row(stream), all.rows / streams_, all.cols,
            all.stride * streams_};
  }
  // a of one stream, (steps, source steps).
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
  std::vector<T> keys_;  // W_a s of every row of the source
  std::vector<T> weights_, contexts_, y_;
  std::vector<T> d_keys_, d_weights_, d_contexts_;
};

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_NEURAL_ATTENTION_H_
