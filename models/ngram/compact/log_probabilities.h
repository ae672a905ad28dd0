// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_NGRAM_COMPACT_LOG_PROBABILITIES_H_
#define LMSERVE_MODELS_NGRAM_COMPACT_LOG_PROBABILITIES_H_

#include "absl/types/span.h"

namespace lmserve {

// Writes ln p for each probability p: 0 for p >= 1, -infinity for p <= 0. The
// result for a probability does not depend on the others.
// REQUIRES: the spans have the same size.
void LogProbabilities(absl::Span<const double> probabilities,
                      absl::Span<float> logs);

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NGRAM_COMPACT_LOG_PROBABILITIES_H_
