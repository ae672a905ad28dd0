#ifndef LMSERVE_RERANKING_NGRAM_PROFILE_H_
#define LMSERVE_RERANKING_NGRAM_PROFILE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/numeric/int128.h"
#include "absl/types/span.h"

namespace lmserve {

// How often a text has each of its n-grams, of the orders from 1 up, its
// symbols being words by their numbers, or characters. To compare two texts
// takes the time of reading both. Copyable; immutable but for TakeMost().
class NgramProfile {
 public:
  // Of the orders 1 to `orders`, which is 1 to 6. REQUIRES: each symbol
  // fits into 128 / orders bits.
  NgramProfile(absl::Span<const uint32_t> symbols, size_t orders);

  // n-grams of an order, as often as they are there.
  uint64_t total(size_t order) const { return totals_[order - 1]; }

  // Those that both have, each as often as in the one that has it less often.
  // REQUIRES: both are of the same number of orders.
  uint64_t Common(const NgramProfile& other, size_t order) const;

  // Lets each n-gram be there as often as in the one that has it more often.
  void TakeMost(const NgramProfile& other);

 private:
  using Counts = std::vector<std::pair<absl::uint128, uint64_t>>;  // sorted

  static Counts Count(absl::Span<const uint32_t> symbols, size_t order,
                      size_t bits);

  std::vector<Counts> counts_;  // by order
  std::vector<uint64_t> totals_;
};

// Gives each word among those of some texts a number, from 0 up.
class WordNumbers {
 public:
  std::vector<uint32_t> Of(absl::Span<const std::string> words);

 private:
  absl::flat_hash_map<std::string, uint32_t> numbers_;
};

}  // namespace lmserve

#endif  // LMSERVE_RERANKING_NGRAM_PROFILE_H_
