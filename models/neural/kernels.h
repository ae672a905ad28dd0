// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_NEURAL_KERNELS_H_
#define LMSERVE_MODELS_NEURAL_KERNELS_H_

#include <cstddef>
#include <cstdint>
#include <limits>

#include "absl/types/span.h"

namespace lmserve {

// The elementwise functions of the networks, computed with the widest vector
// instructions of the processor. Equal inputs give bit-identical results at any
// position in a batch. A gate whose input sum is infinite has the limit of its
// function as its value, and a NaN input of a cell gives a NaN output.
// Thread-safe. Arrays need no alignment. Outputs must not overlap inputs unless
// a function allows it.

// The nonlinearity of a plain recurrent cell.
enum class Activation { kSigmoid, kTanh, kRelu };

// One step of n units of a plain recurrent cell (Elman 1990):
//   h = f(input + recurrent)
// with input (n) = W_ih x + b_ih + b_hh and recurrent (n) = W_hh h', where h'
// is the previous h. h may be the same array as either of them.
void RnnCell(Activation f, size_t n, const float* input, const float* recurrent,
             float* h);

// One step of n units of a long short-term memory (Hochreiter and Schmidhuber
// 1997; Gers et al. 2000), with the gates in PyTorch's order i, f, g, o:
//   i, f, o = sigmoid(input + recurrent)      g = tanh(input + recurrent)
//   c = f * old_c + i * g                     h = o * tanh(c)
// input and recurrent have the shape (4n) and the same meaning as in RnnCell().
// c may be the same array as old_c. If gates is not null, it receives i, f, g,
// o (4n); it may be the same array as input.
void LstmCell(size_t n, const float* input, const float* recurrent,
              const float* old_c, float* gates, float* c, float* h);

// One step of n units of a gated recurrent unit (Cho et al. 2014) with the
// gates in PyTorch's order r, z, n. As in PyTorch, the reset gate r is applied
// after the matrix product:
//   r, z = sigmoid(input + recurrent)
//   n = tanh(input + r * recurrent)
//   h = (1 - z) * n + z * old_h
// with input (3n) = W_ih x + b_ih and recurrent (3n) = W_hh old_h + b_hh. h may
// be the same array as old_h. If gates is not null, it receives r, z, n (3n);
// it may be the same array as input.
void GruCell(size_t n, const float* input, const float* recurrent,
             const float* old_h, float* gates, float* h);

// x = tanh(x), elementwise.
void TanhInPlace(absl::Span<float> x);

// Computes the log-softmax of numbers x_i that are added in blocks. The
// division into blocks affects the rounding, so callers that need bit-identical
// results must use the same blocks.
class LogSoftmax {
 public:
  void Add(absl::Span<const float> x);

  // Returns ln (exp(x) / sum_i exp(x_i)) of a number x. The difference of x and
  // ln sum_i exp(x_i) would lose the digits of a result near 0; this does not,
  // because the terms of the largest x_i are not part of any rounded sum.
  class Result {
   public:
    float operator()(float x) const { return (x - max_) - log_sum_; }

   private:
    friend class LogSoftmax;
    Result(float max, float log_sum) : max_(max), log_sum_(log_sum) {}

    float max_;
    float log_sum_;  // ln sum_i exp(x_i - max)
  };
  // REQUIRES: a number above -infinity was added.
  Result result() const;

 private:
  float max_ = -std::numeric_limits<float>::infinity();
  double at_max_ = 0;  // how many of the x_i are max_
  double below_ = 0;   // sum of exp(x_i - max_) over the others
};

// Sets log_probs (x.size()) to ln softmax(x). REQUIRES: as for
// LogSoftmax::result().
inline void SetLogSoftmax(absl::Span<const float> x, float* log_probs) {
  LogSoftmax softmax;
  softmax.Add(x);
  const LogSoftmax::Result log_softmax = softmax.result();
  for (size_t i = 0; i < x.size(); ++i) log_probs[i] = log_softmax(x[i]);
}

// Sets x to softmax(x) and returns ln sum_i exp(x_i) of the previous values.
// REQUIRES: x is not empty.
float SoftmaxInPlace(absl::Span<float> x);

// The step that RoundToSteps() gives to 0, since oneDNN multiplies unsigned
// inputs.
inline constexpr int32_t kZeroStep = 128;

// Rounds x (n) to the integers from -127 to 127 times a scale, which it
// returns: the largest absolute value divided by 127. Writes the integers plus
// kZeroStep to steps (n). A number that is infinite or NaN becomes 127 steps.
float RoundToSteps(size_t n, const float* x, uint8_t* steps);

// Converts the sums of products of integers to numbers:
//   y_j = (sums_j - zeros_j) * scale * scales_j + bias_j
// All arrays have the shape (n).
void SumsToFloats(size_t n, const int32_t* sums, const int32_t* zeros,
                  float scale, const float* scales, const float* bias,
                  float* y);

double SumOfSquares(absl::Span<const float> x);

// y += x W^T, with y of shape (rows, panels * 16), x of shape (rows, inputs),
// and W of shape (panels * 16, inputs). packed has the shape (panels, inputs,
// 16): each panel holds 16 rows of W, interleaved. Serves processors for which
// oneDNN has no kernel that sums a row in the same order for every number of
// rows.
void MultiplyPanels(const float* x, size_t rows, size_t inputs,
                    const float* packed, size_t panels, float* y);

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NEURAL_KERNELS_H_
