// SPDX-License-Identifier: Apache-2.0
#include "trainer/ngram/distribution_sums.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "trainer/ngram/backoff_weights.h"
#include "trainer/ngram/ngram_tree.h"

namespace lmserve {
namespace {

class Summer {
 public:
  explicit Summer(const NgramTable& table)
      : table_(table), tree_(table), sums_(tree_) {}

  DistributionSums Run() {
    sums_.AddAll();
    Count({});
    for (int k = 1; k < table_.order(); ++k) {
      for (uint32_t i = 0; i < tree_.Size(k); ++i) Count({k, i});
    }
    result_.worst_context = Spell(worst_);
    return std::move(result_);
  }

 private:
  void Count(NgramPlace context) {
    double sum = sums_.Sum(context);
    ++result_.contexts;
    if (std::isnan(sum)) sum = std::numeric_limits<double>::infinity();
    if (std::abs(sum - 1) <= std::abs(result_.worst - 1)) return;
    result_.worst = sum;
    worst_ = context;
  }

  // Returns the words of an n-gram.
  std::vector<WordId> Spell(NgramPlace ngram) const {
    std::vector<WordId> words;
    for (; ngram.order > 0; ngram = Parent(ngram)) {
      words.push_back(tree_.Word(ngram));
    }
    std::reverse(words.begin(), words.end());
    return words;
  }

  // Returns an n-gram without its last word.
  NgramPlace Parent(NgramPlace ngram) const {
    if (ngram.order == 1) return {};
    const std::vector<uint32_t>& children =
        table_.levels[ngram.order - 2].children;
    const auto after =
        std::upper_bound(children.begin(), children.end(), ngram.index);
    return {ngram.order - 1,
            static_cast<uint32_t>(after - children.begin()) - 1};
  }

  const NgramTable& table_;
  const NgramTree tree_;
  ContextSums sums_;
  DistributionSums result_;
  NgramPlace worst_;
};

}  // namespace

DistributionSums SumDistributions(const NgramTable& table) {
  return Summer(table).Run();
}

}  // namespace lmserve
