// SPDX-License-Identifier: Apache-2.0
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

// The number of occurrences of each n-gram of a text, for the orders from 1 to
// a maximum. The symbols are characters, or words as numbers. Comparing two
// profiles takes time linear in the lengths of both texts. Copyable. The const
// functions are thread-safe.
class NgramProfile {
 public:
  // Counts the n-grams of the orders 1 to `orders`. REQUIRES: `orders` is 1 to
  // 6; each symbol fits into 128 / orders bits.
  NgramProfile(absl::Span<const uint32_t> symbols, size_t orders);

  // Returns the number of n-grams of an order, repeated ones included.
  uint64_t total(size_t order) const { return totals_[order - 1]; }

  // Returns the number of n-grams that both texts have. An n-gram counts as
  // often as in the text that contains it less often. REQUIRES: both profiles
  // have the same orders.
  uint64_t CountCommon(const NgramProfile& other, size_t order) const;

  // Sets the count of each n-gram to the greater one of both profiles.
  // REQUIRES: both profiles have the same orders.
  void MergeMaximum(const NgramProfile& other);

 private:
  using Counts = std::vector<std::pair<absl::uint128, uint64_t>>;  // sorted

  static Counts Count(absl::Span<const uint32_t> symbols, size_t order,
                      size_t bits);

  std::vector<Counts> counts_;  // by order
  std::vector<uint64_t> totals_;
};

// Assigns numbers to words, from 0 up, in the order of their first use. Must be
// used by one thread at a time.
class WordNumbers {
 public:
  // Returns the number of each word.
  std::vector<uint32_t> Find(absl::Span<const std::string> words);

 private:
  absl::flat_hash_map<std::string, uint32_t> numbers_;
};

}  // namespace lmserve

#endif  // LMSERVE_RERANKING_NGRAM_PROFILE_H_
