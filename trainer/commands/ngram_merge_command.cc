// SPDX-License-Identifier: Apache-2.0
//
// lm_trainer ngram-merge: adds up counts of n-grams.

#include <memory>
#include <string>

#include "trainer/commands/command.h"
#include "trainer/commands/counting_options.h"
#include "trainer/counting/merge_counts.h"

namespace lmserve {
namespace {

struct NgramMergeOptions {
  MergeOptions merge;
  std::string output;
  CountingOptions counting;
};

absl::Status Merge(NgramMergeOptions& options) {
  absl::Status status = CheckNewCounts(options.output);
  if (!status.ok()) return status;
  MergeOptions& merge = options.merge;
  merge.threads = options.counting.threads;
  merge.memory = options.counting.memory;
  return RunCountingWork(options.counting, MergeTaskName(merge, options.output),
                         [&](WorkDirectory& work, const StopFlag* stop) {
                           merge.stop = stop;
                           return MergeCounts(merge, work, options.output);
                         });
}

}  // namespace

void AddNgramMergeCommand(cli::App& app, CommandAction* action) {
  auto options = std::make_shared<NgramMergeOptions>();
  cli::App& command = *app.add_subcommand(
      "ngram-merge",
      "Add up the counts of several directories that ngram-count has written. "
      "The counts of all parts of a text give the counts of the text.\n"
      "  lm_trainer ngram-merge counts-1 counts-2 --output counts");
  command.add_option("counts", options->merge.inputs, "Directories of counts")
      ->required();
  command
      .add_option("--output", options->output,
                  "Directory to which the sums are written")
      ->required();
  command
      .add_option("--min-count", options->merge.min_count,
                  "Words that occur less often become <unk>")
      ->check(cli::Range(1, 1'000'000'000))
      ->capture_default_str();
  AddFileCountingOptions(command, &options->counting);
  command.callback([=] { *action = [=] { return Merge(*options); }; });
}

}  // namespace lmserve
