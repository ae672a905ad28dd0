// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_NGRAM_COMPACT_VALUE_QUANTIZER_H_
#define LMSERVE_MODELS_NGRAM_COMPACT_VALUE_QUANTIZER_H_

#include <cstddef>
#include <vector>

#include "absl/types/span.h"

namespace lmserve {

// Replaces values so that at most `most` different ones are left, with a small
// weighted sum of squared errors (Lloyd 1982). Values that are infinite, NaN or
// 0 keep their value and do not count. Weights are positive and finite.
// Deterministic. REQUIRES: most >= 1; as many weights as values.
std::vector<float> QuantizeValues(absl::Span<const float> values,
                                  absl::Span<const float> weights, size_t most);

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NGRAM_COMPACT_VALUE_QUANTIZER_H_
