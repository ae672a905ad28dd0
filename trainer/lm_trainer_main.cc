// SPDX-License-Identifier: Apache-2.0
//
// lm_trainer: trains, imports and evaluates models, and publishes them as
// versions in a model store.

#include <csignal>
#include <cstdio>
#include <iostream>

#include "command_line/cli.h"
#include "command_line/standard_streams.h"
#include "command_line/version.h"
#include "models/printable_text.h"
#include "trainer/commands/command.h"

namespace {

constexpr int kFailed = 1;
constexpr int kWrongCommandLine = 2;
// The work was interrupted and can be continued (EX_TEMPFAIL of sysexits.h).
constexpr int kInterrupted = 75;

// The most bytes of an error, which may quote a file, that are printed.
constexpr size_t kMaxErrorBytes = 16 << 10;

}  // namespace

int main(int argc, char** argv) {
  lmserve::OpenStandardStreams(argv);
  // A training continues although nobody reads its progress any more.
  std::signal(SIGPIPE, SIG_IGN);
  lmserve::cli::App app("Trains and evaluates language models for lm_server.",
                        "lm_trainer");
  app.set_version_flag("--version", lmserve::kVersion);
  app.require_subcommand(1);
  lmserve::CommandAction action;
  lmserve::AddNgramCommand(app, &action);
  lmserve::AddNgramCountCommand(app, &action);
  lmserve::AddNgramMergeCommand(app, &action);
  lmserve::AddNgramAssembleCommand(app, &action);
  lmserve::AddRecurrentCommand(app, &action);
  lmserve::AddWindowCommand(app, &action);
  lmserve::AddTranslationCommand(app, &action);
  lmserve::AddTaggerCommand(app, &action);
  lmserve::AddClassifierCommand(app, &action);
  lmserve::AddMixtureCommand(app, &action);
  lmserve::AddCacheCommand(app, &action);
  lmserve::AddInterpolateCommand(app, &action);
  lmserve::AddPruneCommand(app, &action);
  lmserve::AddExportCountsCommand(app, &action);
  lmserve::AddImportTorchCommand(app, &action);
  lmserve::AddConvertCommand(app, &action);
  lmserve::AddImportArpaCommand(app, &action);
  lmserve::AddImportKenlmCommand(app, &action);
  lmserve::AddExportArpaCommand(app, &action);
  lmserve::AddEvaluateCommand(app, &action);
  lmserve::AddEvaluateNbestCommand(app, &action);
  lmserve::AddEvaluateTranslationsCommand(app, &action);
  lmserve::AddGradientsCommand(app, &action);
  lmserve::AddTuneCommand(app, &action);
  lmserve::AddInspectCommand(app, &action);
  lmserve::AddVerifyCommand(app, &action);
  lmserve::AddAliasCommand(app, &action);
  lmserve::AddRemoveVersionsCommand(app, &action);
  lmserve::AddDemoCorpusCommand(app, &action);
  lmserve::AddGenerateCorpusCommand(app, &action);
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
  std::fprintf(stderr, "lm_trainer: %s\n",
               lmserve::Printable(status.message(), kMaxErrorBytes).c_str());
  return absl::IsAborted(status) ? kInterrupted : kFailed;
}
