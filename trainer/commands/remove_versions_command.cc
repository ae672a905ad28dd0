// SPDX-License-Identifier: Apache-2.0
//
// lm_trainer remove-versions: removes old versions of a model.

#include <iostream>
#include <memory>

#include "absl/strings/str_cat.h"
#include "model_store/model_name.h"
#include "model_store/remove_versions.h"
#include "trainer/commands/command.h"
#include "trainer/commands/common_options.h"
#include "trainer/text/status_line.h"

namespace lmserve {
namespace {

struct RemoveVersionsOptions {
  ModelOptions model;
  RemoveOptions remove;
};

// Writes what was removed to the standard output and what was left, with the
// reasons, to the standard error.
void Report(const std::string& name, const VersionRemoval& removal) {
  for (uint64_t version : removal.removed) {
    std::cout << VersionName(name, version) << "\n";
  }
  for (const std::string& alias : removal.removed_aliases) {
    std::cout << name << "@" << alias << "\n";
    if (alias != kDefaultAlias) continue;
    PrintMessage(absl::StrCat("warning: without the alias ", alias, ", ", name,
                              " means its newest version"));
  }
  for (const auto& [version, reason] : removal.left) {
    PrintMessage(
        absl::StrCat("left ", VersionName(name, version), ": ", reason));
  }
}

absl::Status RunRemoveVersions(const RemoveVersionsOptions& options) {
  VersionRemoval removal;
  absl::Status status = RemoveVersions(options.model.store, options.model.model,
                                       options.remove, &removal);
  Report(options.model.model, removal);
  if (status.ok() && options.remove.dry_run) {
    PrintMessage("dry run: nothing was removed");
  }
  return status;
}

}  // namespace

void AddRemoveVersionsCommand(cli::App& app, CommandAction* action) {
  auto options = std::make_shared<RemoveVersionsOptions>();
  cli::App& command = *app.add_subcommand(
      "remove-versions",
      "Remove all but the newest versions of a model or a reranker, and print "
      "what was removed. Versions that an alias or a reranker of the store "
      "names stay, and so do versions that are not complete. A running server "
      "unloads removed versions at its next look at the store: keep at least "
      "as many as the --keep of your servers.\n"
      "  lm_trainer remove-versions --keep 3 --store store --model en");
  command
      .add_option("--keep", options->remove.keep,
                  "How many versions stay: the newest that are complete")
      ->required()
      ->check(cli::Range(1, 1'000'000'000));
  command.add_flag("--force", options->remove.force,
                   "Also remove versions that an alias or a reranker names, "
                   "and those aliases. A server does not serve a reranker "
                   "whose member is gone");
  command.add_flag("--dry-run", options->remove.dry_run,
                   "Print what would be removed, and change nothing");
  AddTargetOptions(command, &options->model, "Name of the model");
  command.callback(
      [=] { *action = [=] { return RunRemoveVersions(*options); }; });
}

}  // namespace lmserve
