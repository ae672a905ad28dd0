// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_COUNTING_COUNT_TEXT_H_
#define LMSERVE_TRAINER_COUNTING_COUNT_TEXT_H_

#include <string>

#include "absl/status/status.h"
#include "trainer/counting/count_options.h"
#include "trainer/counting/counts_directory.h"
#include "trainer/counting/work_directory.h"

namespace lmserve {

// Returns the name of the work on a text, for WorkDirectory: it depends on the
// text, on all options that change the counts, and on the directory to which
// they are written; "" stands for one inside the work directory.
std::string CountTaskName(const CountOptions& options,
                          const std::string& output = "");

// Counts the n-grams of a text in about options.memory bytes of memory, and
// writes them to a directory; see CountsManifest. Continues the work that the
// work directory already has. The result depends neither on the number of
// threads nor on the memory, except for the number of its files.
//
// 1. The text is read once; its words become ids (ReadTextIds).
// 2. The windows of all positions are distributed to partitions (SpillFiles).
// 3. Each partition is sorted alone, several at once (SortWindows).
//
// Fails as ReadTextIds() does, with RESOURCE_EXHAUSTED if the disk is too
// small, and with ABORTED if a stop was requested.
absl::Status CountText(const CountOptions& options, WorkDirectory& work,
                       const std::string& output);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_COUNTING_COUNT_TEXT_H_
