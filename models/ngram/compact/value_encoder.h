// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_NGRAM_COMPACT_VALUE_ENCODER_H_
#define LMSERVE_MODELS_NGRAM_COMPACT_VALUE_ENCODER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "models/ngram/compact/value_codes.h"

namespace lmserve {

// The values of one order as codes, with the sections of the file.
struct EncodedValues {
  ValueRecord record = {};  // but for the offsets
  std::string codes;        // followed by kSectionPadding bytes
  std::string cells;        // empty if every n-gram has a code
  std::vector<float> table;

  // Returns a view, which is valid until the values change or move.
  ValueCodes View() const;
  uint64_t code_bytes() const { return codes.size() - kSectionPadding; }
  uint64_t bytes() const {
    return code_bytes() + cells.size() + table.size() * sizeof(float);
  }
};

// Encode values exactly, in the way that takes the fewest bytes.
// Log-probabilities are at most 0 or kBlankLogProb; back-off weights are no
// NaN, and 0 and -0 are different. Pure.
EncodedValues EncodeLogProbs(absl::Span<const float> log_probs);
EncodedValues EncodeBackoffs(absl::Span<const float> backoffs);

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NGRAM_COMPACT_VALUE_ENCODER_H_
