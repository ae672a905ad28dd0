#ifndef LMSERVE_TRAINER_NEURAL_CELL_GRADIENTS_H_
#define LMSERVE_TRAINER_NEURAL_CELL_GRADIENTS_H_

#include <cstddef>

#include "models/neural/kernels.h"

namespace lmserve {

// The cells of models/neural/kernels.h once more in double, as their equations
// stand, for gradient checks; and their derivatives in either precision.
// Thread-safe; arrays do not overlap unless it is said.

void RnnCell(Activation f, size_t n, const double* input,
             const double* recurrent, double* h);
void LstmCell(size_t n, const double* input, const double* recurrent,
              const double* old_c, double* gates, double* c, double* h);
void GruCell(size_t n, const double* input, const double* recurrent,
             const double* old_h, double* gates, double* h);
void TanhInPlace(absl::Span<double> x);
double SoftmaxInPlace(absl::Span<double> x);

// From dE/dh, dE/d(input + recurrent).
template <typename T>
void RnnCellBackward(Activation f, size_t n, const T* h, const T* dh, T* dsum);

// From dE/dh and dE/dc (that comes from the step after), dE/d(input +
// recurrent) and dE/d(old c), which replaces dc.
template <typename T>
void LstmCellBackward(size_t n, const T* gates, const T* old_c, const T* c,
                      const T* dh, T* dc, T* dsum);

// From dE/dh: dE/dinput, dE/drecurrent (3n) and, added to d_old_h, what goes to
// the old state past the gates. recurrent is what the step read.
template <typename T>
void GruCellBackward(size_t n, const T* gates, const T* recurrent,
                     const T* old_h, const T* dh, T* dinput, T* drecurrent,
                     T* d_old_h);

// From dE/d(softmax), which becomes dE/d(what it is of).
template <typename T>
void SoftmaxBackward(size_t n, const T* softmax, T* d) {
  T mean = 0;
  for (size_t k = 0; k < n; ++k) mean += softmax[k] * d[k];
  for (size_t k = 0; k < n; ++k) d[k] = softmax[k] * (d[k] - mean);
}

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_NEURAL_CELL_GRADIENTS_H_
