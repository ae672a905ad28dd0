// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_NGRAM_SMOOTHING_H_
#define LMSERVE_TRAINER_NGRAM_SMOOTHING_H_

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "models/ngram/compact/count_trie.h"

namespace lmserve {

// How a smoothing method uses the leftover: the probability that it takes from
// the words seen after a context h. h' is h without its first word.
enum class Leftover {
  kInterpolate,  // all words: P(w | h) = share + leftover * P(w | h')
  kBackOff,      // unseen words only, in proportion to P(w | h')
  kFloor,        // unseen words only, in equal parts
  kStupid,       // not at all: S(w | h) = alpha * S(w | h') for unseen words
};

// Element c is the number of n-grams of an order that occur c times.
inline constexpr int kCountsOfCounts = 8;
using CountsOfCounts = std::array<uint64_t, kCountsOfCounts>;

// A smoothing method: distributes probability over the words that were seen
// after a context. Fit() must be called once for each order, from 1 up; after
// that the object is immutable and thread-safe.
class Smoothing {
 public:
  virtual ~Smoothing() = default;

  virtual Leftover leftover() const = 0;

  // Whether the lower orders use AdjustedCounts().
  virtual bool adjusts_counts() const { return false; }

  // Fits the parameters of an order. Returns a note for the user, or "".
  virtual std::string Fit(int /*order*/, const CountsOfCounts& /*counts*/) {
    return "";
  }

  // Computes the share of each word from the counts of the words after one
  // context. The shares sum to at most 1. Only order 1 may have counts of 0.
  // REQUIRES: at least one count is positive.
  virtual void Share(int order, absl::Span<const uint32_t> counts,
                     absl::Span<double> shares) const = 0;

  // Whether the compact layout of n-gram models can compute the shares.
  virtual bool is_compact() const { return false; }
  // Returns the parameters with which it does. REQUIRES: is_compact(), and
  // Fit() was called for the order.
  virtual CountSmoothing CompactParameters(int /*order*/) const { return {}; }
};

struct SmoothingOptions {
  std::string method = "modified-kneser-ney";
  double delta = 1;         // of additive smoothing
  double alpha = 0.4;       // of stupid back-off
  uint64_t vocabulary = 0;  // |V|, including <unk> and </s>, without <s>
};

// Returns the names of all methods.
absl::Span<const absl::string_view> SmoothingMethods();

// Makes a method. Fails with INVALID_ARGUMENT for an unknown name or if a
// parameter is out of its range.
absl::StatusOr<std::unique_ptr<Smoothing>> MakeSmoothing(
    const SmoothingOptions& options);

// The discounts of modified Kneser-Ney for counts of 1, 2, and 3 or more.
using Discounts = std::array<double, 3>;

// Computes the discounts (Chen and Goodman 1998, equation 26):
//   Y = n1 / (n1 + 2 n2), D1 = 1 - 2 Y n2 / n1, D2 = 2 - 3 Y n3 / n2,
//   D3+ = 3 - 4 Y n4 / n3
// Fails with FAILED_PRECONDITION if n1, n2 or n3 is 0, or if the discount for a
// count is negative or greater than the count.
absl::StatusOr<Discounts> KneserNeyDiscounts(const CountsOfCounts& counts);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_NGRAM_SMOOTHING_H_
