// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_COUNTING_MERGE_COUNTS_H_
#define LMSERVE_TRAINER_COUNTING_MERGE_COUNTS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "trainer/counting/counts_directory.h"
#include "trainer/counting/run_threads.h"
#include "trainer/counting/work_directory.h"

namespace lmserve {

struct MergeOptions {
  // Directories of counts; see CountsManifest.
  std::vector<std::string> inputs;
  // Words that occur less often in all inputs together become <unk>. Ignored if
  // the inputs have a fixed vocabulary.
  uint64_t min_count = 1;
  int threads = 1;
  uint64_t memory = uint64_t{1} << 30;
  const StopFlag* stop = nullptr;  // not owned; may be null
};

// Returns the name of the work of merging, for WorkDirectory; see
// CountTaskName().
std::string MergeTaskName(const MergeOptions& options,
                          const std::string& output);

// Adds up the counts of several directories and writes them to a directory. If
// the inputs are the shards of a text, the result is that of counting the whole
// text at once. Continues the work that the work directory already has. Fails
// with INVALID_ARGUMENT if the inputs have different orders or different fixed
// vocabularies, or have left out rare words.
absl::Status MergeCounts(const MergeOptions& options, WorkDirectory& work,
                         const std::string& output);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_COUNTING_MERGE_COUNTS_H_
