// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_COMMANDS_COMMAND_H_
#define LMSERVE_TRAINER_COMMANDS_COMMAND_H_

#include <functional>

#include "absl/status/status.h"
#include "command_line/cli.h"

namespace lmserve {

// What a command does after the command line has been parsed.
using CommandAction = std::function<absl::Status()>;

// Each function adds one command to lm_trainer. Parsing a command line that
// names the command sets *action; main() then runs it.
void AddAliasCommand(cli::App& app, CommandAction* action);
void AddCacheCommand(cli::App& app, CommandAction* action);
void AddClassifierCommand(cli::App& app, CommandAction* action);
void AddConvertCommand(cli::App& app, CommandAction* action);
void AddDemoCorpusCommand(cli::App& app, CommandAction* action);
void AddEvaluateCommand(cli::App& app, CommandAction* action);
void AddEvaluateNbestCommand(cli::App& app, CommandAction* action);
void AddEvaluateTranslationsCommand(cli::App& app, CommandAction* action);
void AddExportArpaCommand(cli::App& app, CommandAction* action);
void AddExportCountsCommand(cli::App& app, CommandAction* action);
void AddGenerateCorpusCommand(cli::App& app, CommandAction* action);
void AddGradientsCommand(cli::App& app, CommandAction* action);
void AddImportArpaCommand(cli::App& app, CommandAction* action);
void AddImportKenlmCommand(cli::App& app, CommandAction* action);
void AddImportTorchCommand(cli::App& app, CommandAction* action);
void AddInspectCommand(cli::App& app, CommandAction* action);
void AddInterpolateCommand(cli::App& app, CommandAction* action);
void AddMixtureCommand(cli::App& app, CommandAction* action);
void AddNgramAssembleCommand(cli::App& app, CommandAction* action);
void AddNgramCommand(cli::App& app, CommandAction* action);
void AddNgramCountCommand(cli::App& app, CommandAction* action);
void AddNgramMergeCommand(cli::App& app, CommandAction* action);
void AddPruneCommand(cli::App& app, CommandAction* action);
void AddRecurrentCommand(cli::App& app, CommandAction* action);
void AddRemoveVersionsCommand(cli::App& app, CommandAction* action);
void AddTaggerCommand(cli::App& app, CommandAction* action);
void AddTranslationCommand(cli::App& app, CommandAction* action);
void AddTuneCommand(cli::App& app, CommandAction* action);
void AddVerifyCommand(cli::App& app, CommandAction* action);
void AddWindowCommand(cli::App& app, CommandAction* action);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_COMMANDS_COMMAND_H_
