// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_NGRAM_ENTROPY_PRUNING_H_
#define LMSERVE_TRAINER_NGRAM_ENTROPY_PRUNING_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "models/ngram/ngram_table.h"
#include "models/vocabulary.h"
#include "trainer/ngram/backoff_weights.h"

namespace lmserve {

// Entropy pruning of back-off models (Stolcke 1998, "Entropy-based pruning of
// backoff language models").
//
// Without an n-gram h w, the model would give w the probability
// b'(h) P(w | h'), with h' the context h without its first word and b'(h) the
// new back-off weight. The relative entropy of the two models is (equation 3)
//
//   D = -P(h) { P(w | h) [ln P(w | h') + ln b'(h) - ln P(w | h)]
//               + (1 - sum of the seen P(v | h)) [ln b'(h) - ln b(h)] },
//
// and removing the n-gram multiplies the perplexity by about exp(D).

// The model that gives P(h), the relative frequency of a context in running
// text: the product of the probabilities of its words by the chain rule, where
// <s> has the probability of </s>.
//
// That must not be a Kneser-Ney model. Its lower orders are no estimates of
// frequencies, so the products are wrong, and pruning to a small size loses
// much (Chelba et al. 2010). A model of the same text with another smoothing is
// right, for example the maximum likelihood.
struct HistoryModel {
  const Vocabulary& vocabulary;
  const NgramTable& table;
};

// exp(D) - 1 for each n-gram, by order - 1 and index; empty for order 1. An
// n-gram that is a context has at least the largest value of the n-grams that
// begin with it, because it is needed as long as one of them is. Not negative.
using PruningCosts = std::vector<std::vector<double>>;

// Computes the costs of a model, all with the others in place. A word that the
// history model does not know is <unk> for it.
// REQUIRES: both tables have UnseenRule::kBackOff.
PruningCosts FindPruningCosts(const Vocabulary& vocabulary,
                              const NgramTable& table,
                              const HistoryModel& history);

// Returns the smallest threshold with which PruneNgrams() leaves at most
// `ngrams` n-grams of all orders. INVALID_ARGUMENT if there are more words,
// which are never pruned.
absl::StatusOr<double> ThresholdFor(const NgramTable& table,
                                    const PruningCosts& costs, uint64_t ngrams);

// Returns the table without the n-grams whose cost is below the threshold, and
// with new back-off weights; unchanged if there are none. The words remain.
NormalizedTable PruneNgrams(const NgramTable& table, const PruningCosts& costs,
                            double threshold);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_NGRAM_ENTROPY_PRUNING_H_
