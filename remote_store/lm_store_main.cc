// SPDX-License-Identifier: Apache-2.0
//
// lm_store: copies model stores to and from buckets and other places.

#include <csignal>
#include <cstdio>
#include <iostream>

#include "command_line/cli.h"
#include "command_line/standard_streams.h"
#include "command_line/version.h"
#include "remote_store/command.h"
#include "remote_store/remote_options.h"

namespace {

constexpr int kFailed = 1;
constexpr int kWrongCommandLine = 2;
// The work was interrupted and can be continued (EX_TEMPFAIL of sysexits.h).
constexpr int kInterrupted = 75;

}  // namespace

int main(int argc, char** argv) {
  lmserve::OpenStandardStreams(argv);
  // A copy goes on although nobody reads what it prints any more.
  std::signal(SIGPIPE, SIG_IGN);
  lmserve::cli::App app(
      "Copies stores of models to and from buckets, directories and "
      "registries.",
      "lm_store");
  app.set_version_flag("--version", lmserve::kVersion);
  app.require_subcommand(1);
  lmserve::CommandAction action;
  lmserve::AddPushCommand(app, &action);
  lmserve::AddPullCommand(app, &action);
  lmserve::AddSyncCommand(app, &action);
  lmserve::AddVerifyCommand(app, &action);
  lmserve::AddGcCommand(app, &action);
  lmserve::AddExportOciCommand(app, &action);
  try {
    app.parse(argc, argv);
  } catch (const lmserve::cli::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help
    std::fprintf(stderr, "%s\n", app.usage_error(error).c_str());
    return kWrongCommandLine;
  }
  absl::Status status = action();
  if (!std::cout.flush()) {
    if (lmserve::StandardOutputIsClosed()) return lmserve::kClosedPipeExitCode;
    status.Update(
        absl::UnavailableError("cannot write to the standard output"));
  }
  if (status.ok()) return 0;
  lmserve::PrintMessage(status.message());
  return absl::IsAborted(status) ? kInterrupted : kFailed;
}
