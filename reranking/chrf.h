// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_RERANKING_CHRF_H_
#define LMSERVE_RERANKING_CHRF_H_

#include <array>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "reranking/ngram_profile.h"

namespace lmserve {

// chrF2 (Popovic 2015) as sacrebleu 2 computes it: n-grams of 1 to 6 characters
// without white space, and recall twice as important as precision (beta = 2).
// Orders of which either text has no n-gram are ignored. Scores are from 0 to
// 100. All functions are pure.

// Like BleuSignature().
std::string ChrfSignature(int references);

// The counts that chrF is computed from. Those of a corpus are the sum over its
// texts.
struct ChrfCounts {
  static constexpr int kOrder = 6;

  // By order: n-grams of the system's text, of the reference, and matching
  // ones. `system` is 0 for orders of which the reference has no n-gram.
  std::array<uint64_t, kOrder> system{}, reference{}, correct{};

  ChrfCounts& operator+=(const ChrfCounts& other);
  bool operator==(const ChrfCounts& other) const = default;
};

// Counts one text against one reference.
ChrfCounts CountChrf(absl::string_view system, absl::string_view reference);

// The two steps of CountChrf(), for texts that are compared more than once.
NgramProfile CountCharacters(absl::string_view text);
ChrfCounts CountChrf(const NgramProfile& system, const NgramProfile& reference);

// Returns the chrF2 score.
double Chrf(const ChrfCounts& counts);

}  // namespace lmserve

#endif  // LMSERVE_RERANKING_CHRF_H_
