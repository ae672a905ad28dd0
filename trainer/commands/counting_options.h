// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_COMMANDS_COUNTING_OPTIONS_H_
#define LMSERVE_TRAINER_COMMANDS_COUNTING_OPTIONS_H_

#include <cstdint>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "command_line/cli.h"
#include "model_store/processors.h"
#include "trainer/counting/run_threads.h"
#include "trainer/counting/work_directory.h"

namespace lmserve {

// Options of the commands that count n-grams on disk, and what they share.

struct CountingOptions {
  uint64_t memory = 0;  // bytes; 0: count in memory
  std::string temporary;
  bool resume = false;
  int threads = AvailableProcessors();
};

// --memory, --temporary, --resume and --threads. `memory_help` is the help text
// of --memory.
void AddCountingOptions(cli::App& command, const std::string& memory_help,
                        CountingOptions* options);

// The same for a command that always counts in files, with a --memory of 1 GiB
// if it is not given.
void AddFileCountingOptions(cli::App& command, CountingOptions* options);

// OK if a directory has no complete counts yet; otherwise ALREADY_EXISTS.
absl::Status CheckNewCounts(const std::string& directory);

// Work on temporary files, which a signal may interrupt.
using CountingWork =
    absl::FunctionRef<absl::Status(WorkDirectory& work, const StopFlag* stop)>;

// Opens the work directory of a task, does the work, and removes the directory
// if the work has succeeded. SIGINT and SIGTERM stop the work. If it can be
// continued by --resume, the error is ABORTED and says so.
absl::Status RunCountingWork(const CountingOptions& options,
                             absl::string_view task, CountingWork work);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_COMMANDS_COUNTING_OPTIONS_H_
