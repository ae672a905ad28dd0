// SPDX-License-Identifier: Apache-2.0
#include "trainer/neural/softmax_loss.h"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include "models/neural/kernels.h"
#include "models/neural/network_weights.h"
#include "trainer/neural/cell_gradients.h"
#include "trainer/neural/embedding.h"

namespace lmserve {

template <typename T>
SoftmaxLoss<T>::SoftmaxLoss(WordId size, const Cutoffs& cutoffs,
                            std::optional<WordId> never,
                            std::vector<Part> parts, ParameterLayout* layout,
                            ProductPrecision products)
    : never_(never),
      parts_(std::move(parts)),
      layout_(*layout),
      products_(products) {
  bias_ = layout->AddVector(std::string(kOutputBiasTensor), size);
  if (!cutoffs.empty()) {
    size_t width = 0;
    for (const Part& part : parts_) width += part.width;
    class_weight_ =
        layout->AddMatrix(std::string(kClassTensor), cutoffs.size(), width);
    class_bias_ =
        layout->AddVector(std::string(kClassBiasTensor), cutoffs.size());
  }
  WordId begin = 0;
  for (WordId end : cutoffs) {
    classes_.push_back({begin, end, end - begin});
    begin = end;
  }
  classes_.push_back({begin, size, size - begin});
  classes_[0].outputs += cutoffs.size();
}

template <typename T>
void SoftmaxLoss<T>::Initialize(T* values, double range, Random* random) const {
  FillUniform(layout_.View(values, bias_), 0, random);
  if (classes_.size() == 1) return;
  FillUniform(layout_.View(values, class_weight_), range, random);
  FillUniform(layout_.View(values, class_bias_), 0, random);
}

template <typename T>
double SoftmaxLoss<T>::Run(const T* values,
                           const std::vector<MatrixView<const T>>& inputs,
                           absl::Span<const WordId> targets,
                           const Gradients* gradients) {
  if (gradients != nullptr) {
    for (const MatrixView<T>& d : gradients->inputs) {
      std::fill_n(d.data, d.rows * d.cols, T{0});
    }
  }
  const std::vector<Rows> rows = SortByClass(targets);
  double loss = 0;
  for (size_t i = 0; i < classes_.size(); ++i) {
    if (rows[i].rows.empty()) continue;
    loss += RunClass(values, classes_[i], inputs, rows[i], gradients);
  }
  return loss;
}

template <typename T>
std::vector<typename SoftmaxLoss<T>::Rows> SoftmaxLoss<T>::SortByClass(
    absl::Span<const WordId> targets) const {
  std::vector<Rows> sorted(classes_.size());
  for (size_t row = 0; row < targets.size(); ++row) {
    if (targets[row] == kNoTarget) continue;
    size_t which = 0;
    while (targets[row] >= classes_[which].end) ++which;
    sorted[which].rows.push_back(row);
    sorted[which].targets.push_back(targets[row] - classes_[which].begin);
    if (which == 0) continue;
    sorted[0].rows.push_back(row);
    sorted[0].targets.push_back(classes_[0].end + which - 1);
  }
  return sorted;
}

template <typename T>
template <typename Visit>
void SoftmaxLoss<T>::ForEachMatrix(const Class& c, Visit visit) const {
  size_t column = 0;
  for (size_t i = 0; i < parts_.size(); ++i) {
    const auto words = [&](auto* array) {
      return layout_.View(array, parts_[i].weight)
          .Rows(c.begin, c.end - c.begin);
    };
    visit(i, words, size_t{0});
    const auto classes = [&](auto* array) {
      return layout_.View(array, class_weight_).Cols(column, parts_[i].width);
    };
    if (OtherClasses(c) > 0) visit(i, classes, size_t{c.end});
    column += parts_[i].width;
  }
}

template <typename T>
double SoftmaxLoss<T>::RunClass(const T* values, const Class& c,
                                const Inputs& inputs, const Rows& rows,
                                const Gradients* gradients) {
  const size_t padded = products_.PaddedRows(rows.rows.size());
  Gather(inputs, rows.rows);
  ComputeLogits(values, c, padded);
  const double loss = SoftmaxRows(rows.targets, c.outputs,
                                  gradients == nullptr ? 0 : gradients->scale);
  if (gradients == nullptr) return loss;
  AddParameterGradients(c, padded, gradients->parameters);
  AddInputGradients(values, c, rows.rows, gradients->inputs);
  return loss;
}

template <typename T>
void SoftmaxLoss<T>::Gather(const Inputs& inputs,
                            absl::Span<const size_t> rows) {
  x_.resize(parts_.size());
  for (size_t i = 0; i < parts_.size(); ++i) {
    x_[i].resize(products_.PaddedRows(rows.size()) * parts_[i].width);
    T* to = x_[i].data();
    for (size_t row : rows) {
      to = std::copy_n(inputs[i].row(row), parts_[i].width, to);
    }
    std::fill(to, x_[i].data() + x_[i].size(), T{0});
  }
}

template <typename T>
void SoftmaxLoss<T>::ComputeLogits(const T* values, const Class& c,
                                   size_t rows) {
  logits_.resize(rows * c.outputs);
  const MatrixView<T> logits(logits_.data(), rows, c.outputs);
  const T* bias = layout_.View(values, bias_).data + c.begin;
  for (size_t r = 0; r < rows; ++r) {
    T* classes = std::copy_n(bias, c.end - c.begin, logits.row(r));
    if (OtherClasses(c) == 0) continue;
    std::copy_n(layout_.View(values, class_bias_).data, OtherClasses(c),
                classes);
  }
  ForEachMatrix(c, [&](size_t part, auto weights, size_t output) {
    const auto w = weights(values);
    products_.Gemm(Transpose::kNo, Transpose::kYes, Features(part, rows), w, 1,
                   logits.Cols(output, w.rows));
  });
  if (!never_.has_value() || *never_ < c.begin || *never_ >= c.end) return;
  for (size_t r = 0; r < rows; ++r) {
    logits.row(r)[*never_ - c.begin] = -std::numeric_limits<T>::infinity();
  }
}

template <typename T>
double SoftmaxLoss<T>::SoftmaxRows(absl::Span<const size_t> targets,
                                   size_t outputs, T scale) {
  double loss = 0;
  for (size_t r = 0; r < targets.size(); ++r) {
    const auto row = absl::MakeSpan(logits_).subspan(r * outputs, outputs);
    const double logit = row[targets[r]];
    loss += SoftmaxInPlace(row) - logit;
    if (scale == 0) continue;
    row[targets[r]] -= 1;
    for (T& value : row) value *= scale;
  }
  std::fill(logits_.begin() + targets.size() * outputs, logits_.end(), T{0});
  return loss;
}

template <typename T>
void SoftmaxLoss<T>::AddParameterGradients(const Class& c, size_t rows,
                                           T* gradients) {
  const MatrixView<const T> d_logits(logits_.data(), rows, c.outputs);
  const size_t words = c.end - c.begin;
  T* d_bias = layout_.View(gradients, bias_).data + c.begin;
  for (size_t r = 0; r < rows; ++r) {
    const T* row = d_logits.row(r);
    for (size_t w = 0; w < words; ++w) d_bias[w] += row[w];
    if (OtherClasses(c) == 0) continue;
    T* d_class_bias = layout_.View(gradients, class_bias_).data;
    for (size_t w = words; w < c.outputs; ++w)
      d_class_bias[w - words] += row[w];
  }
  ForEachMatrix(c, [&](size_t part, auto weights, size_t output) {
    const auto dw = weights(gradients);
    products_.Gemm(Transpose::kYes, Transpose::kNo,
                   d_logits.Cols(output, dw.rows), Features(part, rows), 1, dw);
  });
}

template <typename T>
void SoftmaxLoss<T>::AddInputGradients(
    const T* values, const Class& c, absl::Span<const size_t> rows,
    const std::vector<MatrixView<T>>& inputs) {
  const size_t padded = products_.PaddedRows(rows.size());
  const MatrixView<const T> d_logits(logits_.data(), padded, c.outputs);
  ForEachMatrix(c, [&](size_t part, auto weights, size_t output) {
    const auto w = weights(values);
    dx_.resize(padded * parts_[part].width);
    const MatrixView<T> dx(dx_.data(), padded, parts_[part].width);
    products_.Gemm(Transpose::kNo, Transpose::kNo,
                   d_logits.Cols(output, w.rows), w, 0, dx);
    for (size_t r = 0; r < rows.size(); ++r) {
      T* to = inputs[part].row(rows[r]);
      for (size_t k = 0; k < dx.cols; ++k) to[k] += dx.row(r)[k];
    }
  });
}

template class SoftmaxLoss<float>;
template class SoftmaxLoss<double>;

}  // namespace lmserve
