// SPDX-License-Identifier: Apache-2.0
#include "trainer/ngram/entropy_pruning.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "trainer/ngram/ngram_tree.h"

namespace lmserve {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

class CostFinder {
 public:
  CostFinder(const Vocabulary& vocabulary, const NgramTable& table,
             const HistoryModel& history)
      : tree_(table),
        sums_(tree_),
        history_(history.table),
        begin_(vocabulary.begin_sentence()),
        history_end_(history.vocabulary.end_sentence()) {
    for (WordId id = 0; id < vocabulary.size(); ++id) {
      history_ids_.push_back(history.vocabulary.Find(vocabulary.word(id)));
    }
    for (const NgramLevel& level : table.levels) {
      costs_.emplace_back(level.size());
    }
    costs_[0].clear();
  }

  PruningCosts Run() {
    sums_.AddAll();
    for (WordId word = 0; tree_.order() > 1 && word < history_ids_.size();
         ++word) {
      NgramPlace state;
      double log_prob = history_.Advance(&state, history_ids_[word]);
      // <s> is not predicted, but occurs as often as </s>.
      if (word == begin_) log_prob = history_.Score({}, history_end_);
      VisitContext({1, word}, state, log_prob);
    }
    for (int k = tree_.order() - 1; k >= 2; --k) RaiseContexts(k);
    return std::move(costs_);
  }

 private:
  // Finds the costs of the n-grams that extend a context. `state` is the
  // context in the history model, log_prob is ln P(h).
  void VisitContext(NgramPlace context, NgramPlace state, double log_prob) {
    const NgramTree::Range children = tree_.Children(context);
    if (children.first == children.last) return;
    FindCosts(context, std::exp(log_prob));
    const int order = context.order + 1;
    if (order == tree_.order()) return;
    for (uint32_t i = children.first; i < children.last; ++i) {
      const WordId word = tree_.Word({order, i});
      NgramPlace next = state;
      const double next_log_prob =
          log_prob + history_.Advance(&next, history_ids_[word]);
      VisitContext({order, i}, next, next_log_prob);
    }
  }

  void FindCosts(NgramPlace context, double context_prob) {
    const ContextMass mass = sums_.MassOf(context);
    const double log_backoff = tree_.Backoff(context);
    // The model gives nothing to unseen words if the weight is 0.
    const double left =
        std::isfinite(log_backoff) ? std::max(0.0, 1 - mass.seen) : 0.0;
    const NgramPlace shorter = tree_.Suffix(context);
    const NgramTree::Range children = tree_.Children(context);
    for (uint32_t i = children.first; i < children.last; ++i) {
      const NgramPlace ngram = {context.order + 1, i};
      const double log_prob = tree_.LogProb(ngram);
      const double log_below = tree_.Score(shorter, tree_.Word(ngram));
      const double prob = std::exp(log_prob), below = std::exp(log_below);
      double& cost = costs_[context.order][i];
      if (prob > 0 && below == 0) {
        cost = kInfinity;  // the word would become impossible
        continue;
      }
      const double new_log_backoff =
          std::log(left + prob) - std::log(mass.unseen_below + below);
      double divergence = 0;
      if (prob > 0) {
        divergence -= prob * (log_below + new_log_backoff - log_prob);
      }
      if (left > 0) divergence -= left * (new_log_backoff - log_backoff);
      cost = std::expm1(context_prob * std::max(0.0, divergence));
    }
  }

  // Raises the costs of the n-grams of order k to those of the n-grams that
  // they are contexts of.
  void RaiseContexts(int k) {
    for (uint32_t i = 0; i < costs_[k - 1].size(); ++i) {
      const NgramTree::Range children = tree_.Children({k, i});
      for (uint32_t child = children.first; child < children.last; ++child) {
        costs_[k - 1][i] = std::max(costs_[k - 1][i], costs_[k][child]);
      }
    }
  }

  const NgramTree tree_;
  ContextSums sums_;
  const NgramTree history_;
  const WordId begin_;
  const WordId history_end_;
  std::vector<WordId> history_ids_;  // by id of the table
  PruningCosts costs_;
};

}  // namespace

PruningCosts FindPruningCosts(const Vocabulary& vocabulary,
                              const NgramTable& table,
                              const HistoryModel& history) {
  return CostFinder(vocabulary, table, history).Run();
}

absl::StatusOr<double> ThresholdFor(const NgramTable& table,
                                    const PruningCosts& costs,
                                    uint64_t ngrams) {
  const uint64_t words = table.levels[0].size();
  if (ngrams < words) {
    return absl::InvalidArgumentError(absl::StrCat(
        "expected at least ", words,
        ", the number of words, which are not pruned, found ", ngrams));
  }
  std::vector<double> all;
  for (const std::vector<double>& level : costs) {
    all.insert(all.end(), level.begin(), level.end());
  }
  const uint64_t kept = ngrams - words;
  if (all.size() <= kept) return 0;
  std::nth_element(all.begin(), all.begin() + kept, all.end(),
                   std::greater<>());
  if (all[kept] < kInfinity) return std::nextafter(all[kept], kInfinity);
  return absl::InvalidArgumentError(absl::StrCat(
      "expected at least ",
      words + std::count(all.begin(), all.end(), kInfinity),
      ", because without the other n-grams words would be impossible, found ",
      ngrams));
}

NormalizedTable PruneNgrams(const NgramTable& table, const PruningCosts& costs,
                            double threshold) {
  NormalizedTable result;
  NgramTable& pruned = result.table;
  pruned.levels.resize(table.order());
  // The n-grams of the order that are kept. The context of each is kept, since
  // its cost is at least as large.
  std::vector<uint32_t> kept(table.levels[0].size());
  std::iota(kept.begin(), kept.end(), 0u);
  bool is_changed = false;
  for (int k = 1; k <= table.order(); ++k) {
    const NgramLevel& old = table.levels[k - 1];
    NgramLevel& level = pruned.levels[k - 1];
    is_changed = is_changed || kept.size() < old.size();
    std::vector<uint32_t> next;
    for (uint32_t i : kept) {
      level.words.push_back(old.words[i]);
      level.log_probs.push_back(old.log_probs[i]);
      if (k == table.order()) continue;
      level.backoffs.push_back(old.backoffs[i]);
      level.children.push_back(next.size());
      for (uint32_t child = old.children[i]; child < old.children[i + 1];
           ++child) {
        if (costs[k][child] >= threshold) next.push_back(child);
      }
    }
    if (k < table.order()) level.children.push_back(next.size());
    kept = std::move(next);
  }
  if (is_changed) result.scaled = RecomputeBackoffs(&pruned);
  return result;
}

}  // namespace lmserve
