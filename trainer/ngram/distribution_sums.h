// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_NGRAM_DISTRIBUTION_SUMS_H_
#define LMSERVE_TRAINER_NGRAM_DISTRIBUTION_SUMS_H_

#include <cstdint>
#include <vector>

#include "models/ngram/ngram_table.h"
#include "models/vocabulary.h"

namespace lmserve {

// The sums of the distributions that a back-off model has.
struct DistributionSums {
  uint64_t contexts = 0;  // number of contexts, including the empty one
  double worst = 1;       // the sum that differs most from 1
  std::vector<WordId> worst_context;
};

// Computes the sum of the distribution after each context of a model with
// UnseenRule::kBackOff: each n-gram below the highest order, and the empty
// context. Any other context has the distribution of one of them. Takes a time
// in proportion to the number of n-grams, because the sum after h follows from
// that after h', which is h without its first word:
//
//   S(h) = sum P(w | h) + b(h) (S(h') - sum P(w | h'))
//
// with sums over the n-grams h w. Thread-safe.
DistributionSums SumDistributions(const NgramTable& table);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_NGRAM_DISTRIBUTION_SUMS_H_
