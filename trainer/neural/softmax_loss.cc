#include "trainer/neural/softmax_loss.h"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include "models/neural/kernels.h"
#include "models/neural/network_weights.h"
#include "trainer/neural/cells.h"

namespace lmserve {

template <typename T>
SoftmaxLoss<T>::SoftmaxLoss(WordId size, const Cutoffs& cutoffs,
                            std::optional<WordId> never,
                            std::vector<Part> parts, ParameterLayout* layout)
    : never_(never), parts_(std::move(parts)), layout_(*layout) {
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
    loss += RunClass(values, i, inputs, rows[i], gradients);
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
void SoftmaxLoss<T>::ForEachMatrix(size_t which, Visit visit) const {
  const Class& c = classes_[which];
  size_t column = 0;
  for (size_t i = 0; i < parts_.size(); ++i) {
    visit(
        i,
        [&, i](auto* array) {
          return layout_.View(array, parts_[i].weight)
              .Rows(c.begin, c.end - c.begin);
        },
        size_t{0});
    if (which == 0 && classes_.size() > 1) {
      visit(
          i,
          [&, i, column](auto* array) {
            return layout_.View(array, class_weight_)
                .Cols(column, parts_[i].width);
          },
          size_t{c.end});
    }
    column += parts_[i].width;
  }
}

template <typename T>
double SoftmaxLoss<T>::RunClass(const T* values, size_t which,
                                const std::vector<MatrixView<const T>>& inputs,
                                const Rows& rows, const Gradients* gradients) {
  const Class& c = classes_[which];
  const size_t n = rows.rows.size();
  x_.resize(parts_.size());
  dx_.resize(parts_.size());
  for (size_t i = 0; i < parts_.size(); ++i) {
    x_[i].resize(n * parts_[i].width);
    for (size_t r = 0; r < n; ++r) {
      std::copy_n(inputs[i].row(rows.rows[r]), parts_[i].width,
                  x_[i].data() + r * parts_[i].width);
    }
  }
  const auto x = [&](size_t i) {
    return MatrixView<const T>(x_[i].data(), n, parts_[i].width);
  };
  // logits = b + x W^T
  const size_t words = c.end - c.begin;
  logits_.resize(n * c.outputs);
  const MatrixView<T> logits(logits_.data(), n, c.outputs);
  const T* bias = layout_.View(values, bias_).data + c.begin;
  for (size_t r = 0; r < n; ++r) {
    T* row = std::copy_n(bias, words, logits.row(r));
    if (c.outputs == words) continue;
    std::copy_n(layout_.View(values, class_bias_).data, c.outputs - words, row);
  }
  ForEachMatrix(which, [&](size_t i, auto weights, size_t output) {
    const auto w = weights(values);
    Gemm(Transpose::kNo, Transpose::kYes, x(i), w, 1,
         logits.Cols(output, w.rows));
  });
  if (never_.has_value() && *never_ >= c.begin && *never_ < c.end) {
    for (size_t r = 0; r < n; ++r) {
      logits.row(r)[*never_ - c.begin] = -std::numeric_limits<T>::infinity();
    }
  }
  const double loss = SoftmaxRows(rows.targets, c.outputs,
                                  gradients == nullptr ? 0 : gradients->scale);
  if (gradients == nullptr) return loss;

  T* d_bias = layout_.View(gradients->parameters, bias_).data + c.begin;
  for (size_t r = 0; r < n; ++r) {
    const T* row = logits.row(r);
    for (size_t w = 0; w < words; ++w) d_bias[w] += row[w];
    for (size_t w = words; w < c.outputs; ++w) {
      layout_.View(gradients->parameters, class_bias_).data[w - words] +=
          row[w];
    }
  }
  for (size_t i = 0; i < parts_.size(); ++i) dx_[i].assign(x_[i].size(), 0);
  ForEachMatrix(which, [&](size_t i, auto weights, size_t output) {
    const auto dw = weights(gradients->parameters);
    const auto d = logits.Cols(output, dw.rows);
    const MatrixView<const T> d_logits(d.data, d.rows, d.cols, d.stride);
    Gemm(Transpose::kYes, Transpose::kNo, d_logits, x(i), 1, dw);
    Gemm(Transpose::kNo, Transpose::kNo, d_logits, weights(values), 1,
         {dx_[i].data(), n, parts_[i].width});
  });
  for (size_t i = 0; i < parts_.size(); ++i) {
    for (size_t r = 0; r < n; ++r) {
      T* to = gradients->inputs[i].row(rows.rows[r]);
      const T* from = dx_[i].data() + r * parts_[i].width;
      for (size_t k = 0; k < parts_[i].width; ++k) to[k] += from[k];
    }
  }
  return loss;
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
  return loss;
}

template class SoftmaxLoss<float>;
template class SoftmaxLoss<double>;

}  // namespace lmserve
