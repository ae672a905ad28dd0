// SPDX-License-Identifier: Apache-2.0
#include "trainer/counting/disk_plan.h"

#include <algorithm>

#include "trainer/counting/sort_partitions.h"
#include "trainer/counting/trie_files.h"

namespace lmserve {
namespace {

// The mean number of bytes of a number of variable size below 2^32 whose
// frequencies are those of words.
double MeanVarintBytes(absl::Span<const uint64_t> word_counts) {
  double bytes = 0, words = 1;
  for (size_t word = 0; word < word_counts.size(); ++word) {
    const auto count = static_cast<double>(word_counts[word]);
    words += count;
    bytes += count * (1 + (word >= 1 << 7) + (word >= 1 << 14) +
                      (word >= 1 << 21) + (word >= 1 << 28));
  }
  return bytes / words;
}

}  // namespace

DiskPlan PlanDisk(int order, absl::Span<const uint64_t> word_counts,
                  uint64_t windows, absl::Span<const uint64_t> ngrams) {
  const double word_bytes = MeanVarintBytes(word_counts);
  DiskPlan plan;
  plan.ids = static_cast<uint64_t>(word_bytes * static_cast<double>(windows));
  plan.spill = EstimateSpillBytes(
      {.order = order, .has_counts = false, .vocabulary = word_counts.size()},
      windows, word_counts);
  // Each n-gram is the word of one window, of which rare words have more than
  // their share.
  double counts = 0;
  for (uint64_t number : ngrams) {
    counts += static_cast<double>(number) * (word_bytes + 0.5);
  }
  if (!ngrams.empty()) counts += 1.1 * static_cast<double>(ngrams.back());
  plan.counts = static_cast<uint64_t>(counts);
  plan.trie = PlanTrieDisk(word_counts.size(), ngrams);
  return plan;
}

uint64_t PlanTrieDisk(uint64_t vocabulary, absl::Span<const uint64_t> ngrams) {
  TrieShape shape;
  shape.vocabulary = vocabulary;
  shape.ngrams.assign(ngrams.begin(), ngrams.end());
  uint64_t bytes = 0, largest = 0;
  for (int k = 1; k <= shape.order(); ++k) {
    // Words, counts, degrees and adjusted counts; ranks; links.
    uint64_t more = shape.word_bytes() + (k < shape.order() ? 3 : 1);
    const uint64_t linked =
        k < 3 ? 0 : 2 + (k < shape.order() ? shape.index_bytes(k - 1) : 0);
    more += linked;
    bytes += more * ngrams[k - 1];
    // While the slices of an order are joined, it is there twice.
    largest = std::max(largest, linked * ngrams[k - 1]);
  }
  return bytes + largest;
}

}  // namespace lmserve
