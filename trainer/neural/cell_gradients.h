// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_NEURAL_CELL_GRADIENTS_H_
#define LMSERVE_TRAINER_NEURAL_CELL_GRADIENTS_H_

#include <cstddef>

#include "models/neural/kernels.h"

namespace lmserve {

// The cells of models/neural/kernels.h in double precision, for gradient
// checks, and the derivatives of the cells in both precisions. n is the number
// of units. The functions are thread-safe. Arrays must not overlap, except
// where a comment says so.

void RnnCell(Activation f, size_t n, const double* input,
             const double* recurrent, double* h);
void LstmCell(size_t n, const double* input, const double* recurrent,
              const double* old_c, double* gates, double* c, double* h);
void GruCell(size_t n, const double* input, const double* recurrent,
             const double* old_h, double* gates, double* h);
void TanhInPlace(absl::Span<double> x);
double SoftmaxInPlace(absl::Span<double> x);

// Computes dE/d(input + recurrent) from dE/dh.
template <typename T>
void RnnCellBackward(Activation f, size_t n, const T* h, const T* dh, T* dsum);

// Computes dE/d(input + recurrent) from dE/dh and from dc, which is the dE/dc
// of the next step. Sets dc to dE/d(old c).
template <typename T>
void LstmCellBackward(size_t n, const T* gates, const T* old_c, const T* c,
                      const T* dh, T* dc, T* dsum);

// Computes dE/dinput and dE/drecurrent, both of size 3n, from dE/dh. Adds the
// part of dE/d(old h) that does not pass through the gates to d_old_h.
// `recurrent` is the argument of GruCell().
template <typename T>
void GruCellBackward(size_t n, const T* gates, const T* recurrent,
                     const T* old_h, const T* dh, T* dinput, T* drecurrent,
                     T* d_old_h);

// Replaces d = dE/d(softmax) by the derivative by the argument of the softmax.
template <typename T>
void SoftmaxBackward(size_t n, const T* softmax, T* d) {
  T mean = 0;
  for (size_t k = 0; k < n; ++k) mean += softmax[k] * d[k];
  for (size_t k = 0; k < n; ++k) d[k] = softmax[k] * (d[k] - mean);
}

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_NEURAL_CELL_GRADIENTS_H_
