// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_RERANKING_WORD_ERRORS_H_
#define LMSERVE_RERANKING_WORD_ERRORS_H_

#include <cstdint>
#include <string>

#include "absl/types/span.h"

namespace lmserve {

// The smallest number of substitutions, deletions and insertions that turn the
// reference's words into the system's (Levenshtein distance). If there are
// several ways, the one with the most substitutions counts. The errors of a
// corpus are the sum over its texts.
struct WordErrors {
  uint64_t substitutions = 0;
  uint64_t deletions = 0;
  uint64_t insertions = 0;
  uint64_t reference_words = 0;

  WordErrors& operator+=(const WordErrors& other);
  bool operator==(const WordErrors& other) const = default;
};

// Counts the errors, in time proportional to the product of both lengths. Pure.
WordErrors CountWordErrors(absl::Span<const std::string> system,
                           absl::Span<const std::string> reference);

// Returns the word error rate in percent, which may be above 100. 0 if there
// are neither errors nor reference words; infinity if there are only errors.
// Pure.
double WordErrorRate(const WordErrors& errors);

}  // namespace lmserve

#endif  // LMSERVE_RERANKING_WORD_ERRORS_H_
