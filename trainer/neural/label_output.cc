// SPDX-License-Identifier: Apache-2.0
#include "trainer/neural/label_output.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "models/neural/kernels.h"
#include "models/neural/recurrent_tagger.h"
#include "trainer/neural/cell_gradients.h"
#include "trainer/neural/embedding.h"

namespace lmserve {

template <typename T>
LabelOutput<T>::LabelOutput(size_t labels, size_t width, bool has_chain,
                            ParameterLayout* layout, absl::string_view prefix)
    : layout_(*layout),
      labels_(labels),
      has_chain_(has_chain),
      weight_(layout->AddMatrix(absl::StrCat(prefix, kOutputTensor), labels,
                                width)),
      bias_(
          layout->AddVector(absl::StrCat(prefix, kOutputBiasTensor), labels)) {
  if (!has_chain) return;
  transitions_ = layout->AddMatrix(absl::StrCat(prefix, kTransitionsTensor),
                                   labels, labels);
  start_ =
      layout->AddVector(absl::StrCat(prefix, kStartTransitionsTensor), labels);
  end_ = layout->AddVector(absl::StrCat(prefix, kEndTransitionsTensor), labels);
}

template <typename T>
void LabelOutput<T>::Initialize(T* values, Random* random) const {
  const auto weight = layout_.View(values, weight_);
  FillUniform(weight, 1 / std::sqrt(static_cast<double>(weight.cols)), random);
  FillUniform(layout_.View(values, bias_), 0, random);
  if (!has_chain_) return;
  for (size_t parameter : {transitions_, start_, end_}) {
    FillUniform(layout_.View(values, parameter), 0, random);
  }
}

template <typename T>
LabelChain<T> LabelOutput<T>::Chain(const T* values) const {
  return {layout_.View(values, transitions_), layout_.View(values, start_).data,
          layout_.View(values, end_).data};
}

template <typename T>
double LabelOutput<T>::Run(const T* values, MatrixView<const T> x,
                           size_t streams, absl::Span<const WordId> targets,
                           const Gradients* gradients) {
  logits_.resize(x.rows * labels_);
  const MatrixView<T> logits(logits_.data(), x.rows, labels_);
  for (size_t r = 0; r < x.rows; ++r) {
    std::copy_n(layout_.View(values, bias_).data, labels_, logits.row(r));
  }
  const auto weight = layout_.View(values, weight_);
  Gemm(Transpose::kNo, Transpose::kYes, x, weight, 1, logits);
  if (gradients == nullptr) errors_ = CountErrors(values, streams, targets);
  const T scale = gradients == nullptr ? 0 : gradients->scale;
  T* d_values = gradients == nullptr ? nullptr : gradients->parameters;
  const double loss = has_chain_
                          ? RunChain(values, streams, targets, scale, d_values)
                          : RunSoftmax(targets, scale);
  if (gradients == nullptr) return loss;
  T* d_bias = layout_.View(d_values, bias_).data;
  for (size_t r = 0; r < x.rows; ++r) {
    for (size_t j = 0; j < labels_; ++j) d_bias[j] += logits.row(r)[j];
  }
  Gemm(Transpose::kYes, Transpose::kNo, logits, x, 1,
       layout_.View(d_values, weight_));
  Gemm(Transpose::kNo, Transpose::kNo, logits, weight, 0, gradients->dx);
  return loss;
}

template <typename T>
double LabelOutput<T>::RunSoftmax(absl::Span<const WordId> targets, T scale) {
  double loss = 0;
  for (size_t r = 0; r < targets.size(); ++r) {
    const auto row = absl::MakeSpan(logits_).subspan(r * labels_, labels_);
    const double logit = row[targets[r]];
    loss += SoftmaxInPlace(row) - logit;
    row[targets[r]] -= 1;
    for (T& value : row) value *= scale;
  }
  return loss;
}

template <typename T>
double LabelOutput<T>::RunChain(const T* values, size_t streams,
                                absl::Span<const WordId> targets, T scale,
                                T* gradients) {
  const size_t steps = targets.size() / streams;
  std::vector<WordId> sequence(steps);
  double loss = 0;
  for (size_t s = 0; s < streams; ++s) {
    for (size_t t = 0; t < steps; ++t) sequence[t] = targets[t * streams + s];
    loss += RunSequence(
        Chain(values),
        {logits_.data() + s * labels_, steps, labels_, streams * labels_},
        sequence, scale, gradients);
  }
  return loss;
}

template <typename T>
double LabelOutput<T>::RunSequence(const LabelChain<T>& chain,
                                   MatrixView<T> logits,
                                   absl::Span<const WordId> targets, T scale,
                                   T* gradients) {
  const size_t steps = targets.size();
  const ChainSums<T> sums(chain, logits);
  double score = chain.start[targets[0]] + chain.end[targets[steps - 1]];
  for (size_t t = 0; t < steps; ++t) {
    score += logits.row(t)[targets[t]];
    if (t > 0) score += chain.transitions.row(targets[t - 1])[targets[t]];
  }
  const double loss = sums.log_z() - score;
  if (gradients == nullptr) return loss;
  const MatrixView<T> d_transitions = layout_.View(gradients, transitions_);
  for (size_t t = 1; t < steps; ++t) {
    sums.AddPairs(t, scale, d_transitions);
    d_transitions.row(targets[t - 1])[targets[t]] -= scale;
  }
  // The sums need the logits only above.
  for (size_t t = 0; t < steps; ++t) {
    T* row = logits.row(t);
    for (size_t j = 0; j < labels_; ++j) {
      row[j] = scale * static_cast<T>(std::exp(sums.LogMarginal(t, j)));
    }
    row[targets[t]] -= scale;
  }
  T* d_start = layout_.View(gradients, start_).data;
  T* d_end = layout_.View(gradients, end_).data;
  for (size_t j = 0; j < labels_; ++j) {
    d_start[j] += logits.row(0)[j];
    d_end[j] += logits.row(steps - 1)[j];
  }
  return loss;
}

template <typename T>
size_t LabelOutput<T>::CountErrors(const T* values, size_t streams,
                                   absl::Span<const WordId> targets) const {
  size_t errors = 0;
  const size_t steps = targets.size() / streams;
  std::vector<size_t> best(steps);
  for (size_t s = 0; s < streams; ++s) {
    const MatrixView<const T> logits(logits_.data() + s * labels_, steps,
                                     labels_, streams * labels_);
    if (has_chain_) FindBestLabels(Chain(values), logits, absl::MakeSpan(best));
    for (size_t t = 0; t < steps; ++t) {
      if (!has_chain_) {
        const T* row = logits.row(t);
        best[t] = std::max_element(row, row + labels_) - row;
      }
      errors += best[t] != targets[t * streams + s];
    }
  }
  return errors;
}

template class LabelOutput<float>;
template class LabelOutput<double>;

}  // namespace lmserve
