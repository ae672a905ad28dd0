// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_COUNTING_ORDERED_HASH_H_
#define LMSERVE_TRAINER_COUNTING_ORDERED_HASH_H_

#include <cstdint>
#include <vector>

#include "absl/numeric/int128.h"
#include "absl/types/span.h"
#include "models/vocabulary.h"

namespace lmserve {

// Returns the high 64 bits of a product.
inline uint64_t MultiplyHigh(uint64_t a, uint64_t b) {
  return absl::Uint128High64(absl::uint128(a) * b);
}

// Maps windows to 64-bit numbers in their order: of two windows the later one
// never has the smaller number. The numbers would be distributed evenly if the
// words of a text were independent of each other, so they divide the windows of
// a text into ranges of about equal size. This is the interval of an arithmetic
// code over the first kHashedWords words. Immutable: thread-safe.
class OrderedHash {
 public:
  static constexpr int kHashedWords = 4;

  // `counts`: how often each word occurs.
  explicit OrderedHash(absl::Span<const uint64_t> counts);

  // Returns the number of windows that begin with `word`, if the words after it
  // have the number `after`: 0 if none follow.
  uint64_t Extend(WordId word, uint64_t after) const {
    const uint64_t begin = begins_[word];
    return begin + MultiplyHigh(begins_[word + 1] - begin, after);
  }

 private:
  // The words below a word occur in begins_[word] of 2^64 places.
  std::vector<uint64_t> begins_;
};

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_COUNTING_ORDERED_HASH_H_
