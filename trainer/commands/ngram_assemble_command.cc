// SPDX-License-Identifier: Apache-2.0
//
// lm_trainer ngram-assemble: makes an n-gram model of counts.

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "trainer/commands/command.h"
#include "trainer/commands/counting_options.h"
#include "trainer/commands/ngram_model.h"
#include "trainer/counting/counts_directory.h"

namespace lmserve {
namespace {

struct NgramAssembleOptions {
  std::string counts;
  NgramModelOptions model;
  CountingOptions counting;
};

absl::Status Assemble(const NgramAssembleOptions& options) {
  absl::Status status = CheckNgramModelOptions(options.model);
  if (!status.ok()) return status;
  const absl::StatusOr<CountsManifest> manifest =
      ReadCountsManifest(options.counts);
  if (!manifest.ok()) return manifest.status();
  const std::string task = ModelTaskName(
      options.model,
      TaskName({"assemble 2",
                FileIdentity(absl::StrCat(options.counts, "/counts.json"))}));
  return RunCountingWork(
      options.counting, task, [&](WorkDirectory& work, const StopFlag* stop) {
        return PublishFromDirectory(options.model, options.counting,
                                    TextRules(), options.counts,
                                    /*is_temporary=*/false, stop, work);
      });
}

}  // namespace

void AddNgramAssembleCommand(cli::App& app, CommandAction* action) {
  auto options = std::make_shared<NgramAssembleOptions>();
  cli::App& command = *app.add_subcommand(
      "ngram-assemble",
      "Make an n-gram model of the counts in a directory, which ngram-count, "
      "ngram-merge or another program has written, and publish it as a new "
      "version. The model is the one that ngram makes of the text.\n"
      "  lm_trainer ngram-assemble counts --store store --model en");
  command.add_option("counts", options->counts, "Directory of counts")
      ->required();
  AddFileCountingOptions(command, &options->counting);
  AddNgramModelOptions(command, &options->model);
  command.callback([=] {
    CheckLayoutOptions(options->model.output.layout);
    *action = [=] { return Assemble(*options); };
  });
}

}  // namespace lmserve
