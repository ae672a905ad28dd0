// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_DISTRIBUTION_H_
#define LMSERVE_MODELS_DISTRIBUTION_H_

#include <cstdint>

#include "absl/types/span.h"
#include "models/language_model.h"
#include "models/vocabulary.h"

// What a distribution over the next word says. log_probs[w] is ln P of the word
// with the id w, for each word of the vocabulary. All functions are pure.
namespace lmserve {

// Writes the best words of a distribution in the order of Likelier().
// REQUIRES: best.size() <= log_probs.size().
void TakeBest(absl::Span<const float> log_probs, absl::Span<ScoredWord> best);

// Returns the place of a word in the order of Likelier(), counted from 1.
// REQUIRES: word < log_probs.size().
uint32_t RankOf(absl::Span<const float> log_probs, WordId word);

// Returns the entropy -sum_w P(w) ln P(w), in nats.
float Entropy(absl::Span<const float> log_probs);

}  // namespace lmserve

#endif  // LMSERVE_MODELS_DISTRIBUTION_H_
