#ifndef LMSERVE_MODELS_NEURAL_KERNELS_H_
#define LMSERVE_MODELS_NEURAL_KERNELS_H_

#include <cstddef>
#include <limits>

#include "absl/types/span.h"

namespace lmserve {

// The elementwise functions of the networks, in the widest vectors that the
// machine has. The same numbers give the same bits wherever they stand in a
// batch; infinite sums of a gate have their limits, and NaN stays NaN through a
// cell. Thread-safe; arrays need no alignment, and outputs overlap no inputs
// unless it is said.

// The nonlinearity of a plain recurrent cell.
enum class Activation { kSigmoid, kTanh, kRelu };

// One step of n units of a plain recurrent cell (Elman 1990):
//   h = f(input + recurrent)
// input (n) is W_ih x with the biases, recurrent (n) is W_hh h'. h may be
// either of them.
void RnnCell(Activation f, size_t n, const float* input, const float* recurrent,
             float* h);

// One step of n units of a long short-term memory (Hochreiter and Schmidhuber
// 1997; Gers et al. 2000), the gates in PyTorch's order i f g o:
//   i, f, o = sigmoid, g = tanh of input + recurrent
//   c = f * c' + i * g          h = o * tanh(c)
// input and recurrent are (4n). c may be old_c. gates (4n) gets i f g o, if it
// is not null; it may be input.
void LstmCell(size_t n, const float* input, const float* recurrent,
              const float* old_c, float* gates, float* c, float* h);

// One step of n units of a gated recurrent unit (Cho et al. 2014; the reset
// gate after the product, as in PyTorch), the gates in PyTorch's order r z n:
//   r, z = sigmoid(input + recurrent)
//   n = tanh(input + r * recurrent)
//   h = (1 - z) * n + z * h'
// input is W_ih x + b_ih, recurrent is W_hh h' + b_hh, both (3n). h may be
// old_h. gates (3n) gets r z n, if it is not null; it may be input.
void GruCell(size_t n, const float* input, const float* recurrent,
             const float* old_h, float* gates, float* h);

// x = tanh(x), elementwise.
void TanhInPlace(absl::Span<float> x);

// ln sum exp of numbers that come piece by piece. What the pieces are matters
// to the last bits, so the same pieces are used for the same row everywhere.
class LogSumExp {
 public:
  void Add(absl::Span<const float> x);
  float value() const;  // -infinity where nothing was added

 private:
  float max_ = -std::numeric_limits<float>::infinity();
  double sum_ = 0;  // of exp(x - max_)
};

// Sets x to softmax(x); returns ln sum exp of what it was. REQUIRES: not empty.
float SoftmaxInPlace(absl::Span<float> x);

double SumOfSquares(absl::Span<const float> x);

// y (rows, 16 panels) += x (rows, inputs) W^T: the products of machines for
// which oneDNN has no kernel that sums a row in the same order at any batch
// size. packed is (panels, inputs, 16): 16 rows of W beside each other; y and x
// are row by row.
void MultiplyPanels(const float* x, size_t rows, size_t inputs,
                    const float* packed, size_t panels, float* y);

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NEURAL_KERNELS_H_
