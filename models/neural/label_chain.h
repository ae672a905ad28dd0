// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_NEURAL_LABEL_CHAIN_H_
#define LMSERVE_MODELS_NEURAL_LABEL_CHAIN_H_

#include <cstddef>
#include <vector>

#include "absl/types/span.h"
#include "models/neural/gemm.h"

namespace lmserve {

// A linear chain over the labels y_1 ... y_T of a sentence, which is the last
// layer of a conditional random field (Lafferty, McCallum and Pereira 2001).
// With the logits e_t of a network and the parameters A (transitions), s
// (start) and f (end),
//
//   score(y) = s[y_1] + sum_t e_t[y_t] + sum_{t > 1} A[y_{t-1}, y_t] + f[y_T]
//   P(y) = exp(score(y)) / Z,   Z = sum over all y of exp(score(y))
//
// A parameter of -infinity forbids what it scores. A view of the caller's
// memory; all functions are thread-safe. L is the number of labels, at most
// kMaxLabels.
template <typename T>
struct LabelChain {
  MatrixView<const T> transitions;  // (L, L): the row is the previous label
  const T* start;                   // (L)
  const T* end;                     // (L)

  size_t labels() const { return transitions.rows; }
};

// Sets the labels of the sequence with the highest score (Viterbi 1967). Of
// equal scores, the label with the lower number wins. `logits` is e, (T, L),
// where T = labels.size() > 0. REQUIRES: the chain permits a sequence.
template <typename T>
void FindBestLabels(const LabelChain<T>& chain, MatrixView<const T> logits,
                    absl::Span<size_t> labels);

// The sums of the forward and backward algorithm (Rabiner 1989) over all label
// sequences of a sentence, computed with logarithms in double precision:
//
//   alpha_t(j) = e_t[j] + ln sum_i exp(alpha_{t-1}(i) + A[i, j])
//   beta_t(i)  = ln sum_j exp(A[i, j] + e_{t+1}[j] + beta_{t+1}(j))
//
// with alpha_1 = s + e_1 and beta_T = f. The sum over i is that of the products
// exp(alpha_{t-1}(i) - max alpha_{t-1}) exp(A[i, j] - max A), whose factors
// need far fewer exponentials than their products, except where it would
// underflow. Not thread-safe.
template <typename T>
class ChainSums {
 public:
  // The arguments are those of FindBestLabels() and must outlive the sums. Time
  // is of the order of T L^2.
  ChainSums(const LabelChain<T>& chain, MatrixView<const T> logits);

  // ln Z.
  double log_z() const { return log_z_; }

  // ln P(y_t = j). At each t, the probabilities sum to 1.
  double LogMarginal(size_t t, size_t j) const {
    return alpha_[t * labels_ + j] + beta_[t * labels_ + j] - log_z_;
  }

  // ln P(y_{t-1} = i, y_t = j). REQUIRES: t > 0.
  double LogPair(size_t t, size_t i, size_t j) const {
    return alpha_[(t - 1) * labels_ + i] + chain_.transitions.row(i)[j] +
           logits_.row(t)[j] + beta_[t * labels_ + j] - log_z_;
  }

  // Adds scale * P(y_{t-1} = i, y_t = j) to pairs[i, j]. REQUIRES: t > 0.
  void AddPairs(size_t t, T scale, MatrixView<T> pairs) const;

 private:
  // Sets factors_ and max_transition_.
  void SetFactors();
  // Sets after[j] = e_t[j] + beta_t(j), (L).
  void SetAfter(size_t t, double* after) const;

  const LabelChain<T> chain_;
  const MatrixView<const T> logits_;
  const size_t labels_;
  std::vector<double> alpha_, beta_;  // (T, L)
  std::vector<double> factors_;       // exp(A - max A), (L, L)
  double max_transition_ = 0;         // max A
  double log_z_ = 0;
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NEURAL_LABEL_CHAIN_H_
