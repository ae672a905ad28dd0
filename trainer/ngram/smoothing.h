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

namespace lmserve {

// What a smoothing method makes of the share that it takes from the words seen
// after a context, for the words in all.
enum class Leftover {
  kInterpolate,  // a part of every word's: share + leftover P(w | h')
  kBackOff,      // of the unseen words alone, in proportion to P(w | h')
  kFloor,        // of the unseen words alone, in equal parts
  kStupid,       // nothing: S(w | h) = alpha S(w | h') for unseen words
};

// counts_of_counts[c]: how many n-grams of an order have the count c.
inline constexpr int kCountsOfCounts = 8;
using CountsOfCounts = std::array<uint64_t, kCountsOfCounts>;

// A smoothing method: shares out the probability of the words seen after one
// context. Fit() is called once for each order, from 1 up; then the object is
// constant, and any number of threads may use it.
class Smoothing {
 public:
  virtual ~Smoothing() = default;

  virtual Leftover leftover() const = 0;

  // Whether the counts of the lower orders are the adjusted ones.
  virtual bool adjusts_counts() const { return false; }

  // Learns what it needs of an order; a note for people, or nothing.
  virtual std::string Fit(int /*order*/, const CountsOfCounts& /*counts*/) {
    return "";
  }

  // Writes the share of each word seen after a context, from their counts. All
  // counts are positive but for order 1, which knows words never seen. The
  // shares sum to at most 1. REQUIRES: a count is positive.
  virtual void Share(int order, absl::Span<const uint32_t> counts,
                     absl::Span<double> shares) const = 0;
};

struct SmoothingOptions {
  std::string method = "modified-kneser-ney";
  double delta = 1;         // of additive smoothing
  double alpha = 0.4;       // of stupid back-off
  uint64_t vocabulary = 0;  // |V|, <unk> and </s> in it, <s> not
};

// The names that MakeSmoothing() takes.
absl::Span<const absl::string_view> SmoothingMethods();

// Makes a method; INVALID_ARGUMENT, with the names there are, for another name,
// or where a parameter is out of its range.
absl::StatusOr<std::unique_ptr<Smoothing>> MakeSmoothing(
    const SmoothingOptions& options);

// The discounts of modified Kneser-Ney for counts of 1, 2, and 3 or more.
using Discounts = std::array<double, 3>;

// Chen and Goodman 1998, equation 26: Y = n1 / (n1 + 2 n2), D1 = 1 - 2Y n2/n1,
// D2 = 2 - 3Y n3/n2, D3+ = 3 - 4Y n4/n3. Fails, saying why, where a count of
// counts is zero or a discount is not in [0, its count].
absl::StatusOr<Discounts> KneserNeyDiscounts(const CountsOfCounts& counts);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_NGRAM_SMOOTHING_H_
