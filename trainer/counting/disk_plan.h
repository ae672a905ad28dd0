// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_COUNTING_DISK_PLAN_H_
#define LMSERVE_TRAINER_COUNTING_DISK_PLAN_H_

#include <cstdint>

#include "absl/types/span.h"

namespace lmserve {

// The bytes of disk that the stages of counting need, about. They are known
// before the stages: from the counts of the words, and from an estimate of the
// number of different n-grams (NgramSketch).
struct DiskPlan {
  uint64_t ids = 0;     // the text as ids
  uint64_t spill = 0;   // the windows, before they are sorted
  uint64_t counts = 0;  // the sorted windows
  uint64_t trie = 0;    // the n-grams, order by order, with their suffixes

  // The most that files need at a time, while windows are sorted: each
  // partition is removed when it is sorted.
  uint64_t counting_peak() const {
    return ids + (spill > counts ? spill + counts / 4 : counts + spill / 4);
  }
  // The most that files need at a time in all.
  uint64_t peak() const {
    const uint64_t later = counts + trie;
    return counting_peak() > later ? counting_peak() : later;
  }
};

// `ngrams`: the number of different n-grams of each order, from 1 to `order`.
DiskPlan PlanDisk(int order, absl::Span<const uint64_t> word_counts,
                  uint64_t windows, absl::Span<const uint64_t> ngrams);

// DiskPlan::trie alone.
uint64_t PlanTrieDisk(uint64_t vocabulary, absl::Span<const uint64_t> ngrams);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_COUNTING_DISK_PLAN_H_
