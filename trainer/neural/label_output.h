// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_NEURAL_LABEL_OUTPUT_H_
#define LMSERVE_TRAINER_NEURAL_LABEL_OUTPUT_H_

#include <cstddef>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "models/neural/gemm.h"
#include "models/neural/label_chain.h"
#include "models/vocabulary.h"
#include "trainer/neural/parameters.h"
#include "trainer/neural/random.h"

namespace lmserve {

// The output layer of a network that labels words or sentences, for training:
// the logits e = W x + b, and -ln P of the labels by a softmax of each row or
// by the LabelChain of models/neural/label_chain.h, whose gradient is
//
//   dE/de_t[j]   = P(y_t = j) - [y_t = j]
//   dE/dA[i, j]  = sum_t P(y_{t-1} = i, y_t = j) - [y_{t-1} = i, y_t = j]
//
// Not thread-safe.
template <typename T>
class LabelOutput {
 public:
  // Adds the parameters, under their names in weights.safetensors after the
  // prefix, to the layout, which must outlive the object. `width` is that of x.
  LabelOutput(size_t labels, size_t width, bool has_chain,
              ParameterLayout* layout, absl::string_view prefix = "");

  // Sets the initial parameters: W uniform in [-1 / sqrt(width), 1 /
  // sqrt(width)), the others 0.
  void Initialize(T* values, Random* random) const;

  // The gradients to compute, of E = scale * loss.
  struct Gradients {
    T scale;
    T* parameters;     // dE/d(parameter) is added to these
    MatrixView<T> dx;  // set to dE/dx
  };

  // Returns the sum of -ln P, in nats, of the targets (steps * streams) with
  // the features x (steps * streams, width). Each stream is one sequence. If
  // `gradients` is null, also counts the errors.
  double Run(const T* values, MatrixView<const T> x, size_t streams,
             absl::Span<const WordId> targets, const Gradients* gradients);

  // The number of targets that are not the label of the most probable sequence,
  // in the last Run() without gradients.
  size_t errors() const { return errors_; }

 private:
  LabelChain<T> Chain(const T* values) const;

  // Return the loss and, unless scale is 0, replace the logits by dE/d(logits).
  double RunSoftmax(absl::Span<const WordId> targets, T scale);
  // Also adds the gradients of the parameters of the chain.
  double RunChain(const T* values, size_t streams,
                  absl::Span<const WordId> targets, T scale, T* gradients);
  double RunSequence(const LabelChain<T>& chain, MatrixView<T> logits,
                     absl::Span<const WordId> targets, T scale, T* gradients);

  size_t CountErrors(const T* values, size_t streams,
                     absl::Span<const WordId> targets) const;

  const ParameterLayout& layout_;
  const size_t labels_;
  const bool has_chain_;
  size_t weight_, bias_;
  size_t transitions_ = 0, start_ = 0, end_ = 0;
  std::vector<T> logits_;
  size_t errors_ = 0;
};

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_NEURAL_LABEL_OUTPUT_H_
