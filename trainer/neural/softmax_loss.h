#ifndef LMSERVE_TRAINER_NEURAL_SOFTMAX_LOSS_H_
#define LMSERVE_TRAINER_NEURAL_SOFTMAX_LOSS_H_

#include <cstddef>
#include <limits>
#include <optional>
#include <vector>

#include "absl/types/span.h"
#include "models/neural/output_layer.h"
#include "trainer/neural/parameters.h"
#include "trainer/neural/random.h"

namespace lmserve {

// In the place of a word to predict: nothing is.
inline constexpr WordId kNoTarget = std::numeric_limits<WordId>::max();

// The output layer of a network in training: cross-entropy over the full or the
// adaptive softmax of models/neural/output_layer.h. Its features may come in
// parts, each with a matrix of its own. One thread at a time.
template <typename T>
class SoftmaxLoss {
 public:
  // A part of the features: its width, and the (V, width) parameter.
  struct Part {
    size_t width;
    size_t weight;
  };

  // Adds the other parameters to the layout, where those of the parts are.
  // `never`, if any, is a word of probability 0.
  SoftmaxLoss(WordId size, const Cutoffs& cutoffs, std::optional<WordId> never,
              std::vector<Part> parts, ParameterLayout* layout);

  // Writes where training starts from: biases 0, classes uniform in the range
  // around 0.
  void Initialize(T* values, double range, Random* random) const;

  // What the way back needs and gives.
  struct Gradients {
    T scale;                            // E = scale * loss
    T* parameters;                      // dE/d(parameter) is added
    std::vector<MatrixView<T>> inputs;  // dE/d(features), set, by part
  };

  // The sum of -ln P(target), in nats, over the rows that have one. inputs are
  // (rows, width) by part. gradients may be null.
  double Run(const T* values, const std::vector<MatrixView<const T>>& inputs,
             absl::Span<const WordId> targets, const Gradients* gradients);

 private:
  struct Class {
    WordId begin, end;
    size_t outputs;  // words, and of class 0 the other classes
  };
  // Rows that some class is asked for, and which of its outputs.
  struct Rows {
    std::vector<size_t> rows;
    std::vector<size_t> targets;
  };

  using Inputs = std::vector<MatrixView<const T>>;

  std::vector<Rows> SortByClass(absl::Span<const WordId> targets) const;
  double RunClass(const T* values, const Class& c, const Inputs& inputs,
                  const Rows& rows, const Gradients* gradients);
  // The steps of it: sets x_ to the rows' features; logits_ (rows, outputs) to
  // b + x W^T; then makes of logits_ the loss and, in place, dE/d(logits); and
  // of these all other gradients.
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
  // The other classes are outputs of class 0.
  size_t OtherClasses(const Class& c) const {
    return c.outputs - (c.end - c.begin);
  }
  // Calls visit(part, weights, output) for each matrix whose outputs a class
  // has: weights(array) is its view in an array of the layout, output the
  // number of its first.
  template <typename Visit>
  void ForEachMatrix(const Class& c, Visit visit) const;

  const std::optional<WordId> never_;
  const std::vector<Part> parts_;
  const ParameterLayout& layout_;
  std::vector<Class> classes_;
  size_t bias_;
  size_t class_weight_ = 0;  // (classes - 1, all features)
  size_t class_bias_ = 0;

  std::vector<T> logits_;
  std::vector<std::vector<T>> x_;  // of the rows of a class, by part
  std::vector<T> dx_;
};

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_NEURAL_SOFTMAX_LOSS_H_
