// SPDX-License-Identifier: Apache-2.0
#include "trainer/ngram/backoff_weights.h"

#include <algorithm>
#include <cmath>

namespace lmserve {
namespace {

// The error of a sum of probabilities whose logarithms are floats.
constexpr double kRounding = 1e-6;

// A smaller difference of sums of doubles is a rounding error.
constexpr double kDoubleRounding = 1e-12;

// Probabilities are scaled if their sum differs from 1 by more than this.
constexpr double kTolerance = 1e-5;

class Normalizer {
 public:
  explicit Normalizer(NgramTable* table) : table_(*table), tree_(*table) {}

  uint64_t Run() {
    Scale({}, ContextSums(tree_).Sum({}));
    ContextSums sums(tree_);
    for (int k = 1; k < table_.order(); ++k) {
      const uint32_t contexts = table_.levels[k - 1].size();
      for (uint32_t i = 0; i < contexts; ++i) {
        ContextMass mass = sums.MassOf({k, i});
        const uint64_t scaled = scaled_;
        SetBackoff({k, i}, mass);
        if (scaled_ > scaled) mass = sums.MassOf({k, i});
        sums.Add({k, i}, mass);
      }
    }
    return scaled_;
  }

 private:
  void SetBackoff(NgramPlace context, const ContextMass& mass) {
    float& backoff = table_.levels[context.order - 1].backoffs[context.index];
    if (tree_.ChildWords(context).empty()) {
      backoff = 0;
      return;
    }
    const double left = 1 - mass.seen;
    if (mass.unseen_below == 0) {
      Scale(context, mass.seen);  // the weight has no effect
    } else if (left > kRounding) {
      backoff = static_cast<float>(std::log(left / mass.unseen_below));
    } else {
      if (left < 0) Scale(context, mass.seen);
      backoff = std::min(
          backoff, static_cast<float>(std::log(kRounding / mass.unseen_below)));
    }
  }

  // Divides the probabilities of the n-grams of a context by their sum, if that
  // is not 1.
  void Scale(NgramPlace context, double sum) {
    if (std::abs(sum - 1) <= kTolerance || sum == 0) return;
    ++scaled_;
    const NgramTree::Range ngrams = tree_.Children(context);
    std::vector<float>& log_probs = table_.levels[context.order].log_probs;
    for (uint32_t i = ngrams.first; i < ngrams.last; ++i) {
      log_probs[i] -= static_cast<float>(std::log(sum));
    }
  }

  NgramTable& table_;
  const NgramTree tree_;
  uint64_t scaled_ = 0;
};

}  // namespace

ContextSums::ContextSums(const NgramTree& tree)
    : tree_(tree), sums_(tree.order()) {
  double sum = 0;
  for (WordId word : tree.ChildWords({})) sum += std::exp(tree.Score({}, word));
  sums_[0] = {sum};
}

ContextMass ContextSums::MassOf(NgramPlace context) const {
  const NgramPlace shorter = tree_.Suffix(context);
  ContextMass mass;
  double seen_below = 0;
  const NgramTree::Range children = tree_.Children(context);
  for (uint32_t i = children.first; i < children.last; ++i) {
    const NgramPlace child = {context.order + 1, i};
    mass.seen += std::exp(double{tree_.LogProb(child)});
    seen_below += std::exp(tree_.Score(shorter, tree_.Word(child)));
  }
  const double unseen_below = Sum(shorter) - seen_below;
  mass.unseen_below = unseen_below < kDoubleRounding ? 0 : unseen_below;
  return mass;
}

void ContextSums::Add(NgramPlace context, const ContextMass& mass) {
  double sum = mass.seen;
  // Without unseen words the weight, which may be infinite, has no effect.
  if (mass.unseen_below > 0) {
    sum += std::exp(double{tree_.Backoff(context)}) * mass.unseen_below;
  }
  sums_[context.order].push_back(sum);
}

void ContextSums::AddAll() {
  NgramPlace context;
  for (context.order = 1; context.order < tree_.order(); ++context.order) {
    const uint32_t contexts = tree_.Size(context.order);
    for (context.index = 0; context.index < contexts; ++context.index) {
      Add(context, MassOf(context));
    }
  }
}

uint64_t RecomputeBackoffs(NgramTable* table) {
  return Normalizer(table).Run();
}

}  // namespace lmserve
