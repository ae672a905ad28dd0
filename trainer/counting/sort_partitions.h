// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_COUNTING_SORT_PARTITIONS_H_
#define LMSERVE_TRAINER_COUNTING_SORT_PARTITIONS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "trainer/counting/count_options.h"
#include "trainer/counting/counts_directory.h"
#include "trainer/counting/shared_progress.h"
#include "trainer/counting/spill.h"
#include "trainer/counting/work_directory.h"

namespace lmserve {

// Windows that are to be sorted within a memory.
struct SortTask {
  SpillFormat format;
  std::vector<uint64_t> word_counts;  // of each word of the vocabulary
  uint64_t windows = 0;
  int threads = 1;
  uint64_t memory = 0;
  const StopFlag* stop = nullptr;
};

// Adds windows to a writer, and their number, or a number in proportion to it,
// to a progress. Called on several threads, which must divide all windows among
// themselves.
using SpillWindows =
    absl::FunctionRef<absl::Status(SpillWriter&, SharedProgress&)>;

// Whether the windows of a work directory are spilled already.
bool IsSpilled(const WorkDirectory& work);

// Distributes windows to partitions, in files of the work directory, unless
// that is done already. DATA_LOSS if they are not task.windows.
absl::Status SpillToPartitions(const SortTask& task, SpillWindows spill,
                               WorkDirectory& work);

// Sorts each partition that was spilled and is not sorted yet, and writes the
// files of windows to a directory. Returns them in order.
absl::StatusOr<std::vector<CountsPart>> SortPartitions(
    const SortTask& task, WorkDirectory& work, const std::string& output);

// Returns about how many bytes the spilled windows of a text need.
uint64_t EstimateSpillBytes(const SpillFormat& format, uint64_t windows,
                            absl::Span<const uint64_t> word_counts);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_COUNTING_SORT_PARTITIONS_H_
