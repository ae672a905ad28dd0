// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_SCORE_GAPS_H_
#define LMSERVE_MODELS_SCORE_GAPS_H_

#include <cstddef>

#include "absl/types/span.h"
#include "models/bidirectional_model.h"
#include "models/vocabulary.h"

namespace lmserve {

// Sets log_probs[i] to ln P of words[begin + i] of a sentence, given all other
// words. It rates all of these words in each of their gaps, which costs little
// more than to rate each word in its own gap, so the sentence is read
// log_probs.size() times. Thread-safe.
// REQUIRES: begin + log_probs.size() <= words.size().
void ScoreGaps(const BidirectionalModel& model, absl::Span<const WordId> words,
               size_t begin, absl::Span<float> log_probs);

}  // namespace lmserve

#endif  // LMSERVE_MODELS_SCORE_GAPS_H_
