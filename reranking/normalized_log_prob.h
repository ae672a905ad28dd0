// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_RERANKING_NORMALIZED_LOG_PROB_H_
#define LMSERVE_RERANKING_NORMALIZED_LOG_PROB_H_

#include <cstddef>

namespace lmserve {

// What ln P of a word of probability 0 counts in a sum. It is finite, so that a
// word that no candidate can avoid does not hide their other features, and far
// below all log-probabilities of texts. lm_client writes the same number into
// n-best lists.
inline constexpr double kImpossibleWord = -1e6;

// Returns the score of a candidate by a model: log_prob / words^alpha plus
// kImpossibleWord for each of its `impossible` words, which `log_prob` leaves
// out. An alpha of 0 is ln P, 1 the mean of its words. A text without words has
// the score 0. Impossible words are not divided, so that a longer text is not
// likelier. Pure.
double NormalizedLogProb(double log_prob, size_t impossible, size_t words,
                         double alpha);

}  // namespace lmserve

#endif  // LMSERVE_RERANKING_NORMALIZED_LOG_PROB_H_
