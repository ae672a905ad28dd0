// SPDX-License-Identifier: Apache-2.0
#include "remote_store/pull_options.h"

#include "absl/strings/str_cat.h"
#include "model_store/model_name.h"
#include "model_store/remove_versions.h"

namespace lmserve {

void AddPullOptions(cli::App& command, PullCommandOptions* options) {
  AddStoreOption(command, &options->store);
  AddRemoteOptions(command, &options->remote);
  cli::Option* const newest =
      command
          .add_option(
              "--newest", options->pull.newest,
              "Pull only this many of the newest versions of each model, "
              "and those that an alias or a reranker names; 0: all")
          ->capture_default_str();
  command
      .add_flag("--remove-old", options->remove,
                "Then remove other versions of these models from DIR, as "
                "lm_trainer remove-versions --keep does")
      ->needs(newest);
  command.add_flag_callback(
      "--no-aliases", [options] { options->pull.aliases = false; },
      "Leave the aliases of DIR as they are");
}

absl::Status PullAndRemove(const PullCommandOptions& options, Puller& puller,
                           const Reporter& reporter) {
  absl::Status status = puller.Pull();
  if (absl::IsAborted(status) || !options.remove || options.pull.newest == 0) {
    return status;
  }
  Problems problems(&reporter);
  for (const std::string& name : puller.models()) {
    VersionRemoval removal;
    const absl::Status removed = RemoveVersions(
        options.store, name, {.keep = options.pull.newest}, &removal);
    for (uint64_t version : removal.removed) {
      reporter.done(absl::StrCat("removed ", VersionName(name, version)));
    }
    // Nothing of the model may be here yet.
    if (!removed.ok() && !absl::IsNotFound(removed)) {
      problems.Add(name, removed);
    }
  }
  status.Update(problems.first());
  return status;
}

}  // namespace lmserve
