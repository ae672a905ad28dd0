// SPDX-License-Identifier: Apache-2.0
#include "trainer/tuning/mira.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>
#include <random>
#include <utility>

#include "trainer/tuning/nbest_features.h"

namespace lmserve {
namespace {

using Vector = std::vector<double>;

// Metrics take integer counts, but the counts of the background are fractional.
// All counts are multiplied by this factor, which does not change the scores,
// because metrics depend on ratios of counts only.
constexpr uint64_t kPartsOfOne = 1 << 20;

// Decaying sum of the counts of earlier sentences. The metric of a sentence
// together with this background approximates its effect on the corpus much
// better than the metric of the sentence alone (Chiang et al. 2008).
class Background {
 public:
  Background(const Metric& metric, double decay)
      : metric_(metric), decay_(decay) {}

  // Returns what a candidate contributes to the corpus, where 1 is the value of
  // a perfect sentence.
  double Gain(const Metric::Counts& counts) {
    sum_.resize(counts.size());
    for (size_t k = 0; k < counts.size(); ++k) {
      sum_[k] = Parts(k) + counts[k] * kPartsOfOne;
    }
    const double score = (sentences_ + 1) * metric_.Score(sum_) / 100;
    return metric_.higher_is_better() ? score : -score;
  }

  void Add(const Metric::Counts& counts) {
    before_.resize(counts.size());
    for (size_t k = 0; k < counts.size(); ++k) {
      before_[k] = decay_ * (before_[k] + static_cast<double>(counts[k]));
    }
    sentences_ = decay_ * (sentences_ + 1);
  }

 private:
  // Returns a background count plus 1, multiplied by kPartsOfOne. Adding 1
  // keeps all ratios finite.
  uint64_t Parts(size_t k) const {
    const double before = k < before_.size() ? before_[k] : 0;
    return static_cast<uint64_t>((1 + before) * double{kPartsOfOne});
  }

  const Metric& metric_;
  const double decay_;
  double sentences_ = 0;
  Vector before_;
  Metric::Counts sum_;
};

// Returns the index of the largest value, the first one of equal values.
size_t IndexOfMax(const Vector& values) {
  return std::max_element(values.begin(), values.end()) - values.begin();
}

// The state of the training.
class Mira {
 public:
  Mira(const NbestLists& lists, const NbestCounts& counts,
       absl::Span<const double> start, const MiraOptions& options)
      : lists_(lists),
        counts_(counts),
        options_(options),
        random_(options.seed),
        units_(FindUnits(lists)),
        background_(counts.metric(), options.decay),
        order_(lists.lists.size()),
        weights_(start.begin(), start.end()),
        sum_(start.size()) {
    std::iota(order_.begin(), order_.end(), 0);
  }

  Vector Run() {
    Vector best = weights_;
    double best_score = Score(best);
    ScaleStart();
    for (size_t epoch = 1; epoch <= options_.epochs; ++epoch) {
      Shuffle();
      for (size_t list : order_) Visit(list);
      Vector average = sum_;
      for (double& weight : average) {
        weight /= static_cast<double>(epoch * order_.size());
      }
      const double score = Score(average);
      if (!counts_.metric().IsBetter(score, best_score)) continue;
      best = average;
      best_score = score;
    }
    return NormalizeWeights(lists_, counts_, best);
  }

 private:
  double Score(absl::Span<const double> weights) const {
    return counts_.Score(ChooseWeighted(lists_, weights));
  }

  // Scales the initial weights, which may be of any size, to the size of a
  // step.
  void ScaleStart() {
    double size = 0;
    for (size_t f = 0; f < units_.size(); ++f) {
      if (units_[f] != 0) size += std::abs(weights_[f]) / units_[f];
    }
    if (size == 0) return;
    for (double& weight : weights_) weight /= size;
  }

  // Uses the Fisher-Yates algorithm, because the results of std::shuffle differ
  // between standard libraries.
  void Shuffle() {
    for (size_t i = order_.size(); i > 1; --i) {
      std::swap(order_[i - 1], order_[random_() % i]);
    }
  }

  void Visit(size_t i) {
    const std::vector<NbestCandidate>& candidates = lists_.lists[i].candidates;
    const auto counts = counts_.of_list(i);
    Vector hopes, fears;  // how well each candidate fits these roles
    for (size_t c = 0; c < candidates.size(); ++c) {
      const double gain = background_.Gain(counts[c]);
      const double value =
          std::inner_product(weights_.begin(), weights_.end(),
                             candidates[c].features.begin(), 0.0);
      hopes.push_back(value + gain);
      fears.push_back(value - gain);
    }
    const size_t hope = IndexOfMax(hopes), fear = IndexOfMax(fears);
    // The difference of the gains minus the difference of the scores.
    const double loss = fears[fear] - fears[hope];
    Step(candidates[hope].features, candidates[fear].features, loss);
    background_.Add(counts[hope]);
    for (size_t f = 0; f < sum_.size(); ++f) sum_[f] += weights_[f];
  }

  // Moves the weights until the loss is 0, but at most by options_.c.
  void Step(const Vector& hope, const Vector& fear, double loss) {
    double squares = 0;
    for (size_t f = 0; f < units_.size(); ++f) {
      const double difference = units_[f] * (hope[f] - fear[f]);
      squares += difference * difference;
    }
    if (squares == 0) return;
    const double eta = std::min(options_.c, loss / squares);
    for (size_t f = 0; f < units_.size(); ++f) {
      weights_[f] += eta * units_[f] * units_[f] * (hope[f] - fear[f]);
    }
  }

  const NbestLists& lists_;
  const NbestCounts& counts_;
  const MiraOptions options_;
  std::mt19937_64 random_;
  const Vector units_;
  Background background_;
  std::vector<size_t> order_;
  Vector weights_, sum_;  // current weights; sum over all sentences
};

}  // namespace

std::vector<double> TuneByMira(const NbestLists& lists,
                               const NbestCounts& counts,
                               absl::Span<const double> start,
                               const MiraOptions& options) {
  return Mira(lists, counts, start, options).Run();
}

}  // namespace lmserve
