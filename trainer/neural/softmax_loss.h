// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_NEURAL_SOFTMAX_LOSS_H_
#define LMSERVE_TRAINER_NEURAL_SOFTMAX_LOSS_H_

#include <cstddef>
#include <limits>
#include <optional>
#include <vector>

#include "absl/types/span.h"
#include "models/neural/output_layer.h"
#include "models/neural/products.h"
#include "trainer/neural/parameters.h"
#include "trainer/neural/random.h"

namespace lmserve {

// A target that means: there is no word to predict.
inline constexpr WordId kNoTarget = std::numeric_limits<WordId>::max();

// The output layer of a network, for training: the cross-entropy of the full or
// the adaptive softmax of models/neural/output_layer.h. The features may
// consist of several parts, each with its own weight matrix. Not thread-safe.
template <typename T>
class SoftmaxLoss {
 public:
  // A part of the features.
  struct Part {
    size_t width;
    size_t weight;  // index of the parameter, (vocabulary size, width)
  };

  // Adds the other parameters to the layout, which already contains the weights
  // of the parts and must outlive the object. `size` is the size of the
  // vocabulary; the word `never`, if any, has probability 0.
  SoftmaxLoss(WordId size, const Cutoffs& cutoffs, std::optional<WordId> never,
              std::vector<Part> parts, ParameterLayout* layout,
              ProductPrecision products = ProductPrecision::kFloat);

  // Sets the initial parameters: biases 0, class weights uniform in [-range,
  // range). Does not set the weights of the parts.
  void Initialize(T* values, double range, Random* random) const;

  // The gradients to compute, of E = scale * loss.
  struct Gradients {
    T scale;
    T* parameters;                      // dE/d(parameter) is added to these
    std::vector<MatrixView<T>> inputs;  // set to dE/d(features) of each part
  };

  // Returns the sum of -ln P(target), in nats, over all rows that have a
  // target. `inputs` has the features of each part, (rows, width). `gradients`
  // may be null.
  double Run(const T* values, const std::vector<MatrixView<const T>>& inputs,
             absl::Span<const WordId> targets, const Gradients* gradients);

 private:
  struct Class {
    WordId begin, end;
    size_t outputs;  // its words and, for class 0, the other classes
  };
  // The rows whose target needs a class, and the target among its outputs.
  struct Rows {
    std::vector<size_t> rows;
    std::vector<size_t> targets;
  };

  using Inputs = std::vector<MatrixView<const T>>;

  std::vector<Rows> SortByClass(absl::Span<const WordId> targets) const;
  double RunClass(const T* values, const Class& c, const Inputs& inputs,
                  const Rows& rows, const Gradients* gradients);
  // The steps of RunClass(). Gather() sets x_ to the features of the rows, and
  // of rows of zeros up to Products::PaddedRows(). ComputeLogits() sets
  // logits_, (padded rows, outputs), to b + x W^T. SoftmaxRows() returns the
  // loss and replaces logits_ by dE/d(logits), which is 0 for the rows of
  // zeros. The last two compute the other gradients from that.
  void Gather(const Inputs& inputs, absl::Span<const size_t> rows);
  void ComputeLogits(const T* values, const Class& c, size_t rows);
  double SoftmaxRows(absl::Span<const size_t> targets, size_t outputs, T scale);
  void AddParameterGradients(const Class& c, size_t rows, T* gradients);
  void AddInputGradients(const T* values, const Class& c,
                         absl::Span<const size_t> rows,
                         const std::vector<MatrixView<T>>& inputs);

  MatrixView<const T> Features(size_t part, size_t rows) const {
    return {x_[part].data(), rows, parts_[part].width};
  }
  // The number of outputs that are classes.
  size_t OtherClasses(const Class& c) const {
    return c.outputs - (c.end - c.begin);
  }
  // Calls visit(part, weights, output) for each weight matrix of a class, where
  // weights(array) is the matrix as part of an array with the layout, and
  // `output` is the index of the matrix's first output.
  template <typename Visit>
  void ForEachMatrix(const Class& c, Visit visit) const;

  const std::optional<WordId> never_;
  const std::vector<Part> parts_;
  const ParameterLayout& layout_;
  Products<T> products_;
  std::vector<Class> classes_;
  size_t bias_;
  size_t class_weight_ = 0;  // (classes - 1, all features)
  size_t class_bias_ = 0;

  std::vector<T> logits_;
  std::vector<std::vector<T>> x_;  // features of the rows of a class, by part
  std::vector<T> dx_;
};

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_NEURAL_SOFTMAX_LOSS_H_
