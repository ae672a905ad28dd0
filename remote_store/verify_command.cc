// SPDX-License-Identifier: Apache-2.0
//
// lm_store verify: checks every byte of a store and of a remote one.

#include <memory>
#include <string>

#include "remote_store/command.h"
#include "remote_store/compare_stores.h"
#include "remote_store/remote_options.h"
#include "remote_store/stop_signals.h"

namespace lmserve {
namespace {

struct VerifyOptions {
  std::string store;
  RemoteOptions remote;
};

absl::Status RunVerify(const VerifyOptions& options) {
  StopSignals signals;
  const Pause pause = [&](auto duration) { return signals.Wait(duration); };
  Remote remote(options.remote, pause);
  Printer printer;
  return printer.Result(CompareStores(options.store, remote.transport(),
                                      options.remote.models, printer.reporter(),
                                      pause));
}

}  // namespace

void AddVerifyCommand(cli::App& app, CommandAction* action) {
  auto options = std::make_shared<VerifyOptions>();
  cli::App& command = *app.add_subcommand(
      "verify",
      "Read every byte of the versions in DIR and in a remote store, and check "
      "sizes and SHA-256, that versions of the same number are the same, and "
      "that aliases name versions that exist. Changes nothing.\n"
      "  lm_store verify store s3:models/store");
  AddStoreOption(command, &options->store);
  AddRemoteOptions(command, &options->remote);
  command.callback([=] { *action = [=] { return RunVerify(*options); }; });
}

}  // namespace lmserve
