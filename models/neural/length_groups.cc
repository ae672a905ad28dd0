// SPDX-License-Identifier: Apache-2.0
#include "models/neural/length_groups.h"

#include <algorithm>
#include <numeric>
#include <vector>

namespace lmserve {
namespace {

constexpr size_t kMaxElements = 2048;

}  // namespace

void ForEachLengthGroup(
    absl::Span<const size_t> lengths,
    absl::FunctionRef<void(absl::Span<const size_t> group)> visit) {
  std::vector<size_t> order(lengths.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return lengths[a] < lengths[b]; });
  absl::Span<const size_t> left = order;
  while (!left.empty()) {
    const size_t length = lengths[left[0]];
    const size_t most =
        std::max<size_t>(kMaxElements / std::max<size_t>(length, 1), 1);
    size_t count = 1;
    while (count < std::min(most, left.size()) &&
           lengths[left[count]] == length) {
      ++count;
    }
    visit(left.first(count));
    left.remove_prefix(count);
  }
}

}  // namespace lmserve
