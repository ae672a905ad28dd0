// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_CLIENT_COMMAND_H_
#define LMSERVE_CLIENT_COMMAND_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/client.h"
#include "command_line/cli.h"

namespace lmserve {

// The options that all commands of lm_client have.
struct CommonOptions {
  ClientOptions client;
  std::vector<std::string> metadata;  // NAME=VALUE
  bool json = false;
};

// Runs the command that the command line chose. Returns false, which becomes
// exit code 1, if the command succeeded and its answer is no.
using CommandFunction =
    std::function<absl::StatusOr<bool>(const CommonOptions&)>;

// Each adds a command to lm_client. When the command line has it, parsing sets
// *run.
void AddScoreCommand(cli::App& app, CommandFunction* run);
void AddPredictCommand(cli::App& app, CommandFunction* run);
void AddRerankCommand(cli::App& app, CommandFunction* run);
void AddGenerateCommand(cli::App& app, CommandFunction* run);
void AddTranslateCommand(cli::App& app, CommandFunction* run);
void AddInspectCommand(cli::App& app, CommandFunction* run);
void AddEmbedCommand(cli::App& app, CommandFunction* run);
void AddTagCommand(cli::App& app, CommandFunction* run);
void AddClassifyCommand(cli::App& app, CommandFunction* run);
void AddVocabularyCommand(cli::App& app, CommandFunction* run);
void AddModelsCommand(cli::App& app, CommandFunction* run);
void AddHealthCommand(cli::App& app, CommandFunction* run);
void AddLoadCommand(cli::App& app, CommandFunction* run);
void AddUnloadCommand(cli::App& app, CommandFunction* run);
void AddAliasCommand(cli::App& app, CommandFunction* run);

// The help text of --model, for commands that ask one model.
inline constexpr char kModelHelp[] =
    "NAME, NAME@VERSION or NAME@ALIAS; optional if the server has only one "
    "model";

// Returns what is wrong with the address of a server, or "" if nothing is.
std::string CheckAddress(const std::string& address);

// Returns `name` or, if it is empty, the name of the server's only model.
// INVALID_ARGUMENT if the server does not have exactly one.
absl::StatusOr<std::string> ChooseModel(const Client& client,
                                        const std::string& name);

}  // namespace lmserve

#endif  // LMSERVE_CLIENT_COMMAND_H_
