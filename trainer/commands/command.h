#ifndef LMSERVE_TRAINER_COMMANDS_COMMAND_H_
#define LMSERVE_TRAINER_COMMANDS_COMMAND_H_

#include <CLI/CLI.hpp>
#include <functional>

#include "absl/status/status.h"

namespace lmserve {

// What a command does after the command line has been parsed.
using CommandAction = std::function<absl::Status()>;

// Each function adds one command to lm_trainer. Parsing a command line that
// names the command sets *action; main() then runs it.
void AddAliasCommand(CLI::App& app, CommandAction* action);
void AddConvertCommand(CLI::App& app, CommandAction* action);
void AddDemoCorpusCommand(CLI::App& app, CommandAction* action);
void AddEvaluateCommand(CLI::App& app, CommandAction* action);
void AddEvaluateNbestCommand(CLI::App& app, CommandAction* action);
void AddExportArpaCommand(CLI::App& app, CommandAction* action);
void AddImportArpaCommand(CLI::App& app, CommandAction* action);
void AddImportTorchCommand(CLI::App& app, CommandAction* action);
void AddInspectCommand(CLI::App& app, CommandAction* action);
void AddMixtureCommand(CLI::App& app, CommandAction* action);
void AddNgramCommand(CLI::App& app, CommandAction* action);
void AddRecurrentCommand(CLI::App& app, CommandAction* action);
void AddTranslationCommand(CLI::App& app, CommandAction* action);
void AddTuneCommand(CLI::App& app, CommandAction* action);
void AddWindowCommand(CLI::App& app, CommandAction* action);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_COMMANDS_COMMAND_H_
