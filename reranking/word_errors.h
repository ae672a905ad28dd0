#ifndef LMSERVE_RERANKING_WORD_ERRORS_H_
#define LMSERVE_RERANKING_WORD_ERRORS_H_

#include <cstdint>
#include <string>

#include "absl/types/span.h"

namespace lmserve {

// The fewest substitutions, deletions and insertions that make a system's words
// of the reference's (Levenshtein); of those ways one with most substitutions.
// That of a corpus is the sum over its texts.
struct WordErrors {
  uint64_t substitutions = 0;
  uint64_t deletions = 0;
  uint64_t insertions = 0;
  uint64_t reference_words = 0;

  WordErrors& operator+=(const WordErrors& other);
  bool operator==(const WordErrors& other) const = default;
};

// Time is the product of both lengths. Pure.
WordErrors CountWordErrors(absl::Span<const std::string> system,
                           absl::Span<const std::string> reference);

// The word error rate in percent, which may be above 100; 0 where there is
// neither error nor reference, infinite where there are errors alone.
double WordErrorRate(const WordErrors& errors);

}  // namespace lmserve

#endif  // LMSERVE_RERANKING_WORD_ERRORS_H_
