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

// Sets scaled_i = exp(x_i - max x) and returns max x, which must be finite.
// `scaled` may be x.
double ScaledExp(absl::Span<const double> x, double* scaled) {
  const double max = *std::max_element(x.begin(), x.end());
  for (size_t i = 0; i < x.size(); ++i) scaled[i] = std::exp(x[i] - max);
  return max;
}

// What underflows from a sum of at most kMaxLabels products that is larger does
// not change its logarithm.
constexpr double kSmallestSum = 1e-200;
// e^200 = 1e87.
constexpr double kLargestShift = 200;

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
  if (steps > 1) SetFactors();
  std::vector<double> terms(labels_), scaled(labels_), sums(labels_);
  for (size_t j = 0; j < labels_; ++j) {
    alpha_[j] = static_cast<double>(chain.start[j]) + logits.row(0)[j];
    beta_[(steps - 1) * labels_ + j] = chain.end[j];
  }
  for (size_t t = 1; t < steps; ++t) {
    const double* before = alpha_.data() + (t - 1) * labels_;
    const double shift =
        ScaledExp({before, labels_}, scaled.data()) + max_transition_;
    std::fill(sums.begin(), sums.end(), 0);
    for (size_t i = 0; i < labels_; ++i) {
      const double* factors = factors_.data() + i * labels_;
      for (size_t j = 0; j < labels_; ++j) sums[j] += scaled[i] * factors[j];
    }
    for (size_t j = 0; j < labels_; ++j) {
      double& alpha = alpha_[t * labels_ + j];
      alpha = logits.row(t)[j];
      if (sums[j] > kSmallestSum) {
        alpha += shift + std::log(sums[j]);
        continue;
      }
      for (size_t i = 0; i < labels_; ++i) {
        terms[i] = before[i] + chain.transitions.row(i)[j];
      }
      alpha += LogSumExp(terms);
    }
  }
  std::vector<double> after(labels_);
  for (size_t t = steps - 1; t-- > 0;) {
    SetAfter(t + 1, after.data());
    const double shift = ScaledExp(after, scaled.data()) + max_transition_;
    for (size_t i = 0; i < labels_; ++i) {
      const double* factors = factors_.data() + i * labels_;
      double sum = 0;
      for (size_t j = 0; j < labels_; ++j) sum += factors[j] * scaled[j];
      double& beta = beta_[t * labels_ + i];
      if (sum > kSmallestSum) {
        beta = shift + std::log(sum);
        continue;
      }
      for (size_t j = 0; j < labels_; ++j) {
        terms[j] = chain.transitions.row(i)[j] + after[j];
      }
      beta = LogSumExp(terms);
    }
  }
  for (size_t j = 0; j < labels_; ++j) {
    terms[j] = alpha_[(steps - 1) * labels_ + j] + chain.end[j];
  }
  log_z_ = LogSumExp(terms);
}

template <typename T>
void ChainSums<T>::SetFactors() {
  factors_.resize(labels_ * labels_);
  max_transition_ = -std::numeric_limits<double>::infinity();
  for (size_t i = 0; i < labels_; ++i) {
    const T* row = chain_.transitions.row(i);
    max_transition_ = std::max<double>(max_transition_,
                                       *std::max_element(row, row + labels_));
  }
  for (size_t i = 0; i < labels_; ++i) {
    for (size_t j = 0; j < labels_; ++j) {
      factors_[i * labels_ + j] =
          std::exp(chain_.transitions.row(i)[j] - max_transition_);
    }
  }
}

template <typename T>
void ChainSums<T>::SetAfter(size_t t, double* after) const {
  for (size_t j = 0; j < labels_; ++j) {
    after[j] = logits_.row(t)[j] + beta_[t * labels_ + j];
  }
}

template <typename T>
void ChainSums<T>::AddPairs(size_t t, T scale, MatrixView<T> pairs) const {
  std::vector<double> before(labels_), after(labels_);
  SetAfter(t, after.data());
  const double shift =
      ScaledExp({alpha_.data() + (t - 1) * labels_, labels_}, before.data()) +
      ScaledExp(after, after.data()) + max_transition_ - log_z_;
  // A product that underflows is at most 1e-307.
  const bool loses_nothing = shift < kLargestShift;
  const double factor = loses_nothing ? std::exp(shift) : 0;
  for (size_t i = 0; i < labels_; ++i) {
    T* row = pairs.row(i);
    for (size_t j = 0; j < labels_; ++j) {
      const double p =
          loses_nothing
              ? factor * (before[i] * factors_[i * labels_ + j] * after[j])
              : std::exp(LogPair(t, i, j));
      row[j] += scale * static_cast<T>(p);
    }
  }
}

template void FindBestLabels(const LabelChain<float>&, MatrixView<const float>,
                             absl::Span<size_t>);
template void FindBestLabels(const LabelChain<double>&,
                             MatrixView<const double>, absl::Span<size_t>);
template class ChainSums<float>;
template class ChainSums<double>;

}  // namespace lmserve
