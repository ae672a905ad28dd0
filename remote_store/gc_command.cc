// SPDX-License-Identifier: Apache-2.0
//
// lm_store gc: removes old versions of a remote store.

#include <memory>

#include "remote_store/collect_garbage.h"
#include "remote_store/command.h"
#include "remote_store/remote_options.h"
#include "remote_store/stop_signals.h"

namespace lmserve {
namespace {

struct GcOptions {
  RemoteOptions remote;
  GarbageOptions garbage;
};

absl::Status RunGc(const GcOptions& options) {
  StopSignals signals;
  const Pause pause = [&](auto duration) { return signals.Wait(duration); };
  Remote remote(options.remote, pause);
  Printer printer;
  GarbageOptions garbage = options.garbage;
  garbage.models = options.remote.models;
  const absl::Status status = printer.Result(
      CollectGarbage(remote.transport(), garbage, printer.reporter(), pause));
  if (status.ok() && garbage.dry_run) {
    PrintMessage("dry run: nothing was removed");
  }
  return status;
}

}  // namespace

void AddGcCommand(cli::App& app, CommandAction* action) {
  auto options = std::make_shared<GcOptions>();
  cli::App& command = *app.add_subcommand(
      "gc",
      "Remove the versions of a remote store but the newest of each model and "
      "those that an alias or a reranker names, each with its manifest first, "
      "and print them. Readers need the versions that they are about to pull: "
      "keep at least 2.\n"
      "  lm_store gc s3:models/store --keep 3");
  AddRemoteOptions(command, &options->remote);
  command
      .add_option("--keep", options->garbage.keep,
                  "How many of the newest versions of each model stay")
      ->required()
      ->check(cli::Range(1, 1'000'000'000));
  command.add_flag("--dry-run", options->garbage.dry_run,
                   "Print what would be removed, and change nothing");
  command.add_flag("--abandoned", options->garbage.abandoned,
                   "Also remove old versions whose push did not end. Only if "
                   "nobody pushes now");
  command.callback([=] { *action = [=] { return RunGc(*options); }; });
}

}  // namespace lmserve
