// SPDX-License-Identifier: Apache-2.0
//
// lm_store pull: copies versions and aliases of a remote store to a local one.

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "model_store/publish.h"
#include "model_store/version_check.h"
#include "remote_store/command.h"
#include "remote_store/pull_options.h"
#include "remote_store/stop_signals.h"

namespace lmserve {
namespace {

struct PullOnceOptions {
  PullCommandOptions common;
  std::vector<std::string> required;
};

// Checks that a name of a model stands for a complete version of the store.
absl::Status CheckRequired(const std::string& store, const std::string& spec) {
  const absl::StatusOr<uint64_t> version = FindVersion(store, spec);
  if (!version.ok()) return version.status();
  return CheckIsComplete(
      absl::StrCat(store, "/", spec.substr(0, spec.find('@')), "/", *version));
}

absl::Status RunPull(const PullOnceOptions& options) {
  StopSignals signals;
  const Pause pause = [&](auto duration) { return signals.Wait(duration); };
  Remote remote(options.common.remote, pause);
  Printer printer;
  const Reporter reporter = printer.reporter();
  PullOptions pull = options.common.pull;
  pull.models = options.common.remote.models;
  Puller puller(options.common.store, &remote.transport(), pull, reporter,
                pause);
  absl::Status status = PullAndRemove(options.common, puller, reporter);
  if (absl::IsAborted(status) || options.required.empty()) {
    return printer.Result(status);
  }
  Problems problems(&reporter);
  for (const std::string& spec : options.required) {
    absl::Status found = CheckRequired(options.common.store, spec);
    if (!found.ok()) problems.Add(absl::StrCat("--require ", spec), found);
  }
  // The problems with other models were printed.
  return printer.Result(problems.first());
}

}  // namespace

void AddPullCommand(cli::App& app, CommandAction* action) {
  auto options = std::make_shared<PullOnceOptions>();
  cli::App& command = *app.add_subcommand(
      "pull",
      "Copy the versions that DIR lacks from a remote store, and then the "
      "aliases. Servers may be reading DIR: a version appears in it at once "
      "and "
      "complete, and an alias after the version that it names. Prints what was "
      "pulled.\n"
      "  lm_store pull store s3:models/store --newest 2");
  AddPullOptions(command, &options->common);
  command
      .add_option("--require", options->required,
                  "Succeed exactly if DIR has these afterwards: NAME, "
                  "NAME@VERSION or NAME@ALIAS, separated by commas")
      ->delimiter(',')
      ->allow_extra_args(false);
  command.callback([=] { *action = [=] { return RunPull(*options); }; });
}

}  // namespace lmserve
