// SPDX-License-Identifier: Apache-2.0
//
// lm_store push: copies versions and aliases to a remote store.

#include <memory>

#include "remote_store/command.h"
#include "remote_store/push.h"
#include "remote_store/remote_options.h"
#include "remote_store/stop_signals.h"

namespace lmserve {
namespace {

struct PushCommandOptions {
  std::string store;
  RemoteOptions remote;
  PushOptions push;
};

absl::Status RunPush(const PushCommandOptions& options) {
  StopSignals signals;
  const Pause pause = [&](auto duration) { return signals.Wait(duration); };
  Remote remote(options.remote, pause);
  Printer printer;
  PushOptions push = options.push;
  push.models = options.remote.models;
  return printer.Result(
      Push(options.store, remote.transport(), push, printer.reporter(), pause));
}

}  // namespace

void AddPushCommand(cli::App& app, CommandAction* action) {
  auto options = std::make_shared<PushCommandOptions>();
  cli::App& command = *app.add_subcommand(
      "push",
      "Copy the versions that a remote store lacks to it, each with its "
      "manifest last, and then the aliases. A version that the remote store "
      "has is never changed. Prints what was pushed.\n"
      "  lm_store push store s3:models/store");
  AddStoreOption(command, &options->store);
  AddRemoteOptions(command, &options->remote);
  command
      .add_option(
          "--newest", options->push.newest,
          "Push only this many of the newest versions of each model, and "
          "those that an alias names; 0: all")
      ->capture_default_str();
  command.add_flag_callback(
      "--no-aliases", [options] { options->push.aliases = false; },
      "Do not copy aliases.json");
  command.callback([=] { *action = [=] { return RunPush(*options); }; });
}

}  // namespace lmserve
