// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_NGRAM_BACKOFF_WEIGHTS_H_
#define LMSERVE_TRAINER_NGRAM_BACKOFF_WEIGHTS_H_

#include <cstdint>
#include <vector>

#include "models/ngram/ngram_table.h"
#include "trainer/ngram/ngram_tree.h"

namespace lmserve {

// How the words after a context h are divided into those that have an n-gram
// h w, and the others. h' is h without its first word.
struct ContextMass {
  double seen = 0;  // the sum of P(w | h) of the words that have an n-gram
  double unseen_below = 0;  // the sum of P(w | h') of the others
};

// The sums of the distributions after the contexts of a table, which need not
// be 1: if only by the rounding of its numbers. Probabilities of unseen words
// are differences to these sums, and exact to 1e-12. Does not own the tree,
// which must outlive it.
class ContextSums {
 public:
  // Computes the sum after the empty context. The others must be added, order
  // by order, in the order of the levels.
  explicit ContextSums(const NgramTree& tree);

  // REQUIRES: the sums of shorter contexts, and of the context itself for
  // Sum(), were added; context.order < tree.order(), and >= 1 for MassOf().
  ContextMass MassOf(NgramPlace context) const;
  double Sum(NgramPlace context) const {
    return sums_[context.order][context.index];
  }

  // Adds the sum after the next context, by the back-off weight that the table
  // has for it: S(h) = seen + b(h) unseen_below.
  void Add(NgramPlace context, const ContextMass& mass);

  // Adds all contexts.
  void AddAll();

 private:
  const NgramTree& tree_;
  std::vector<std::vector<double>> sums_;  // by order, index
};

// Sets every back-off weight of a table with UnseenRule::kBackOff so that the
// distribution after each context h sums to 1, from the lowest order up:
//
//   b(h) = (1 - sum P(w | h)) / (sum over the other words of P(w | h')),
//
// where the first sum is over the n-grams h w. A context without n-grams gets
// the weight 1. Where the numerator is too small to be told from the rounding
// of the probabilities, the weight that the table had is kept, unless it is
// larger than the rounding allows.
//
// If the other words have no probability, or if the probabilities of the
// n-grams exceed 1, no weight makes the sum 1. If it is then wrong by more than
// 1e-5, the probabilities of these n-grams are scaled, as are those of order 1.
// That happens only if they come from models that do not sum to 1. Returns the
// number of contexts for which it happened, the empty one included.
//
// REQUIRES: each level but the highest has a back-off weight for each n-gram.
uint64_t RecomputeBackoffs(NgramTable* table);

// A table whose back-off weights RecomputeBackoffs() has set.
struct NormalizedTable {
  NgramTable table;
  uint64_t scaled = 0;  // what it returned
};

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_NGRAM_BACKOFF_WEIGHTS_H_
