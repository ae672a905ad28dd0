#ifndef LMSERVE_RERANKING_CHRF_H_
#define LMSERVE_RERANKING_CHRF_H_

#include <array>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "reranking/ngram_profile.h"

namespace lmserve {

// chrF2 (Popovic 2015) as sacrebleu 2 defines it: n-grams of 1 to 6 characters
// that are not white space, recall twice as important as precision; orders that
// either side does not have are left out. Scores are from 0 to 100. Pure.

// As BleuSignature().
std::string ChrfSignature(int references);

// What chrF is made of; that of a corpus is the sum over its texts.
struct ChrfCounts {
  static constexpr int kOrder = 6;

  // Of each order. Those of the system count where the reference has any.
  std::array<uint64_t, kOrder> system{}, reference{}, correct{};

  ChrfCounts& operator+=(const ChrfCounts& other);
  bool operator==(const ChrfCounts& other) const = default;
};

ChrfCounts CountChrf(absl::string_view system, absl::string_view reference);

// The same in two steps, for texts that are compared with many.
NgramProfile CountCharacters(absl::string_view text);
ChrfCounts CountChrf(const NgramProfile& system, const NgramProfile& reference);

double Chrf(const ChrfCounts& counts);

}  // namespace lmserve

#endif  // LMSERVE_RERANKING_CHRF_H_
