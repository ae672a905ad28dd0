// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_NEURAL_POOLING_GRADIENT_H_
#define LMSERVE_TRAINER_NEURAL_POOLING_GRADIENT_H_

#include <cstddef>

#include "models/neural/gemm.h"
#include "models/sentence_encoder.h"

namespace lmserve {

// Adds the derivative of PoolStates(), which models/neural/pooling.h has, to
// d_states (steps, width), given d_vector = dE/d(vector). The gradient of a
// maximum goes to the first position that has it. REQUIRES: there is a
// position. Pure.
template <typename T>
void AddPoolingGradient(Pooling pooling, MatrixView<const T> states,
                        size_t forward, const T* d_vector,
                        MatrixView<T> d_states) {
  const size_t steps = states.rows, width = states.cols;
  for (size_t k = 0; k < width; ++k) {
    switch (pooling) {
      case Pooling::kMax: {
        size_t best = 0;
        for (size_t t = 1; t < steps; ++t) {
          if (states.row(t)[k] > states.row(best)[k]) best = t;
        }
        d_states.row(best)[k] += d_vector[k];
        break;
      }
      case Pooling::kMean:
        for (size_t t = 0; t < steps; ++t) {
          d_states.row(t)[k] += d_vector[k] / static_cast<T>(steps);
        }
        break;
      case Pooling::kLast:
        d_states.row(k < forward ? steps - 1 : 0)[k] += d_vector[k];
        break;
    }
  }
}

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_NEURAL_POOLING_GRADIENT_H_
