// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_NEURAL_POOLING_H_
#define LMSERVE_MODELS_NEURAL_POOLING_H_

#include <algorithm>
#include <cstddef>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "models/neural/gemm.h"
#include "models/sentence_encoder.h"

namespace lmserve {

// Conversion between ways of pooling and the names "max", "mean", "last".
absl::string_view PoolingName(Pooling pooling);
absl::StatusOr<Pooling> ParsePooling(absl::string_view name);

// Computes the vector of a sentence from the states h_t (steps, width) of a
// layer at its positions. The first `forward` units belong to the forward
// layer, the others to the backward layer:
//
//   max:  v_k = max_t h_tk
//   mean: v_k = (1 / T) sum_t h_tk
//   last: v_k = h_Tk of the forward layer, h_1k of the backward layer
//
// The vector is 0, the state before the first word, if there are no positions.
// `vector` has `width` numbers. Pure.
template <typename T>
void PoolStates(Pooling pooling, MatrixView<const T> states, size_t forward,
                T* vector) {
  const size_t steps = states.rows, width = states.cols;
  if (steps == 0) {
    std::fill_n(vector, width, T{0});
    return;
  }
  if (pooling == Pooling::kLast) {
    std::copy_n(states.row(steps - 1), forward, vector);
    std::copy_n(states.row(0) + forward, width - forward, vector + forward);
    return;
  }
  std::copy_n(states.row(0), width, vector);
  for (size_t t = 1; t < steps; ++t) {
    const T* h = states.row(t);
    for (size_t k = 0; k < width; ++k) {
      vector[k] = pooling == Pooling::kMax ? std::max(vector[k], h[k])
                                           : vector[k] + h[k];
    }
  }
  if (pooling == Pooling::kMax) return;
  for (size_t k = 0; k < width; ++k) vector[k] /= static_cast<T>(steps);
}

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NEURAL_POOLING_H_
