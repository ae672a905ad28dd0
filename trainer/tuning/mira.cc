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

// Metrics take whole numbers, which those of the background are not: all are
// told in so many parts of one. It changes no score, which is made of ratios.
constexpr uint64_t kPartsOfOne = 1 << 20;

// The sentences before, the latest of which count most: what a sentence is
// worth beside them is nearly what it does to the corpus, while that of one
// sentence alone is a poor guess (Chiang et al. 2008).
class Background {
 public:
  Background(const Metric& metric, double decay)
      : metric_(metric), decay_(decay) {}

  // What a candidate adds to the corpus, in sentences that are perfect.
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
  // One of each count more than there was, so that no ratio is infinite.
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

// Of equals the first.
size_t IndexOfMost(const Vector& values) {
  return std::max_element(values.begin(), values.end()) - values.begin();
}

// Steps from one sentence to the next.
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

  // To numbers of the size of a step: those given may be of any.
  void ScaleStart() {
    double size = 0;
    for (size_t f = 0; f < units_.size(); ++f) {
      if (units_[f] != 0) size += std::abs(weights_[f]) / units_[f];
    }
    if (size == 0) return;
    for (double& weight : weights_) weight /= size;
  }

  // Fisher and Yates's; that of the library differs between libraries.
  void Shuffle() {
    for (size_t i = order_.size(); i > 1; --i) {
      std::swap(order_[i - 1], order_[random_() % i]);
    }
  }

  void Visit(size_t i) {
    const std::vector<NbestCandidate>& candidates = lists_.lists[i].candidates;
    const auto counts = counts_.of_list(i);
    Vector hopes, fears;  // of each candidate: how good it is as such
    for (size_t c = 0; c < candidates.size(); ++c) {
      const double gain = background_.Gain(counts[c]);
      const double value =
          std::inner_product(weights_.begin(), weights_.end(),
                             candidates[c].features.begin(), 0.0);
      hopes.push_back(value + gain);
      fears.push_back(value - gain);
    }
    const size_t hope = IndexOfMost(hopes), fear = IndexOfMost(fears);
    // What the gains differ by, less what the values do.
    const double loss = fears[fear] - fears[hope];
    Step(candidates[hope].features, candidates[fear].features, loss);
    background_.Add(counts[hope]);
    for (size_t f = 0; f < sum_.size(); ++f) sum_[f] += weights_[f];
  }

  // As far as the loss is made good, but no further than options_.c allows.
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
  Vector weights_, sum_;  // now; of those after each sentence
};

}  // namespace

std::vector<double> TuneByMira(const NbestLists& lists,
                               const NbestCounts& counts,
                               absl::Span<const double> start,
                               const MiraOptions& options) {
  return Mira(lists, counts, start, options).Run();
}

}  // namespace lmserve
