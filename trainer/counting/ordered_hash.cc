// SPDX-License-Identifier: Apache-2.0
#include "trainer/counting/ordered_hash.h"

#include <limits>
#include <numeric>

namespace lmserve {

OrderedHash::OrderedHash(absl::Span<const uint64_t> counts)
    : begins_(counts.size() + 1, std::numeric_limits<uint64_t>::max()) {
  const uint64_t total =
      std::accumulate(counts.begin(), counts.end(), uint64_t{1});
  uint64_t below = 0;
  for (size_t word = 0; word < counts.size(); ++word) {
    begins_[word] = absl::Uint128Low64((absl::uint128(below) << 64) / total);
    below += counts[word];
  }
}

}  // namespace lmserve
