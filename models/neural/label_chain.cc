// SPDX-License-Identifier: Apache-2.0
#include "models/neural/label_chain.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>

namespace lmserve {
namespace {

// Returns ln sum_i exp(x_i), which is -infinity if all x_i are.
double LogSumExp(absl::Span<const double> x) {
  const double max = *std::max_element(x.begin(), x.end());
  if (std::isinf(max)) return max;
  double sum = 0;
  for (double value : x) sum += std::exp(value - max);
  return max + std::log(sum);
}

}  // namespace

template <typename T>
void FindBestLabels(const LabelChain<T>& chain, MatrixView<const T> logits,
                    absl::Span<size_t> labels) {
  const size_t steps = labels.size(), count = chain.labels();
  // The best score of a sequence that ends with each label, and the label
  // before the last one in it.
  std::vector<double> scores(count), next(count);
  std::vector<uint16_t> previous(steps * count);
  for (size_t j = 0; j < count; ++j) {
    scores[j] = static_cast<double>(chain.start[j]) + logits.row(0)[j];
  }
  for (size_t t = 1; t < steps; ++t) {
    std::fill(next.begin(), next.end(),
              -std::numeric_limits<double>::infinity());
    uint16_t* best = previous.data() + t * count;
    for (size_t i = 0; i < count; ++i) {
      const T* transition = chain.transitions.row(i);
      for (size_t j = 0; j < count; ++j) {
        const double score = scores[i] + transition[j];
        if (score <= next[j]) continue;
        next[j] = score;
        best[j] = static_cast<uint16_t>(i);
      }
    }
    for (size_t j = 0; j < count; ++j) next[j] += logits.row(t)[j];
    scores.swap(next);
  }
  for (size_t j = 0; j < count; ++j) scores[j] += chain.end[j];
  size_t label = static_cast<size_t>(
      std::max_element(scores.begin(), scores.end()) - scores.begin());
  for (size_t t = steps; t-- > 0;) {
    labels[t] = label;
    label = previous[t * count + label];
  }
}

template <typename T>
ChainSums<T>::ChainSums(const LabelChain<T>& chain, MatrixView<const T> logits)
    : chain_(chain),
      logits_(logits),
      labels_(chain.labels()),
      alpha_(logits.rows * labels_),
      beta_(logits.rows * labels_) {
  const size_t steps = logits.rows;
  std::vector<double> terms(labels_);
  for (size_t j = 0; j < labels_; ++j) {
    alpha_[j] = static_cast<double>(chain.start[j]) + logits.row(0)[j];
    beta_[(steps - 1) * labels_ + j] = chain.end[j];
  }
  for (size_t t = 1; t < steps; ++t) {
    const double* before = alpha_.data() + (t - 1) * labels_;
    for (size_t j = 0; j < labels_; ++j) {
      for (size_t i = 0; i < labels_; ++i) {
        terms[i] = before[i] + chain.transitions.row(i)[j];
      }
      alpha_[t * labels_ + j] = logits.row(t)[j] + LogSumExp(terms);
    }
  }
  for (size_t t = steps - 1; t-- > 0;) {
    const double* after = beta_.data() + (t + 1) * labels_;
    for (size_t i = 0; i < labels_; ++i) {
      for (size_t j = 0; j < labels_; ++j) {
        terms[j] =
            chain.transitions.row(i)[j] + logits.row(t + 1)[j] + after[j];
      }
      beta_[t * labels_ + i] = LogSumExp(terms);
    }
  }
  for (size_t j = 0; j < labels_; ++j) {
    terms[j] = alpha_[(steps - 1) * labels_ + j] + chain.end[j];
  }
  log_z_ = LogSumExp(terms);
}

template void FindBestLabels(const LabelChain<float>&, MatrixView<const float>,
                             absl::Span<size_t>);
template void FindBestLabels(const LabelChain<double>&,
                             MatrixView<const double>, absl::Span<size_t>);
template class ChainSums<float>;
template class ChainSums<double>;

}  // namespace lmserve
