// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_COUNTING_SORT_WINDOWS_H_
#define LMSERVE_TRAINER_COUNTING_SORT_WINDOWS_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "trainer/counting/ordered_hash.h"
#include "trainer/counting/spill.h"

namespace lmserve {

// A partition of spilled windows.
struct Partition {
  std::string path;
  uint64_t rows = 0;
  int index = 0;       // of all partitions
  int partitions = 1;  // the number of all partitions
};

// Sorts the windows of a partition, adds the counts of equal ones, and writes
// them to a file; see WindowWriter. Needs about `memory` bytes, if that is at
// least 1 MiB: if the windows need more, it sorts them in runs, in files next
// to `path`, and merges the runs. `path` exists when all is written, and
// synced. Thread-safe.
absl::Status SortWindows(const Partition& partition, const SpillFormat& format,
                         const OrderedHash& hash, uint64_t memory,
                         const std::string& path);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_COUNTING_SORT_WINDOWS_H_
