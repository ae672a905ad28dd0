// SPDX-License-Identifier: Apache-2.0
#include "trainer/evaluation/mixture_weights.h"

#include <algorithm>
#include <cmath>

#include "models/language_model.h"

namespace lmserve {
namespace {

// The probabilities of the words, relative to the best member of each word.
class Fitter {
 public:
  explicit Fitter(absl::Span<const std::vector<float>> log_probs)
      : members_(log_probs.size()) {
    for (size_t t = 0; t < log_probs[0].size(); ++t) AddWord(log_probs, t);
  }

  size_t words() const { return ratios_.size() / members_; }

  // Performs an iteration: returns ln P of the words under the weights, and
  // sets weight m to the mean over the words of
  //   weight_m P_m / sum_n weight_n P_n
  double Improve(std::vector<double>* weights) const {
    double log_prob = log_prob_of_best_;
    std::vector<double> shares(members_);
    for (auto word = ratios_.begin(); word != ratios_.end(); word += members_) {
      double sum = 0;
      for (size_t m = 0; m < members_; ++m) sum += (*weights)[m] * word[m];
      log_prob += std::log(sum);
      for (size_t m = 0; m < members_; ++m) {
        shares[m] += (*weights)[m] * word[m] / sum;
      }
    }
    for (size_t m = 0; m < members_; ++m) (*weights)[m] = shares[m] / words();
    return log_prob;
  }

 private:
  void AddWord(absl::Span<const std::vector<float>> log_probs, size_t t) {
    float best = log_probs[0][t];
    for (size_t m = 1; m < members_; ++m) {
      best = std::max(best, log_probs[m][t]);
    }
    if (best == kImpossible) return;
    log_prob_of_best_ += best;
    for (size_t m = 0; m < members_; ++m) {
      ratios_.push_back(std::exp(double{log_probs[m][t]} - best));
    }
  }

  const size_t members_;
  // (word, member): P_m(word) divided by the largest P_n(word).
  std::vector<double> ratios_;
  double log_prob_of_best_ = 0;
};

}  // namespace

MixtureFit FitMixtureWeights(absl::Span<const std::vector<float>> log_probs,
                             const FitOptions& options) {
  const Fitter fitter(log_probs);
  MixtureFit fit;
  fit.weights.assign(log_probs.size(), 1.0 / log_probs.size());
  fit.impossible = log_probs[0].size() - fitter.words();
  if (fitter.words() == 0) return fit;
  std::vector<double> next = fit.weights;
  fit.log_prob = fitter.Improve(&next);
  while (fit.iterations < options.iterations) {
    const double before = fit.log_prob;
    fit.weights = next;
    fit.log_prob = fitter.Improve(&next);
    ++fit.iterations;
    if (fit.log_prob - before <= options.gain * std::abs(before)) break;
  }
  return fit;
}

}  // namespace lmserve
