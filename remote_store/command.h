// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_REMOTE_STORE_COMMAND_H_
#define LMSERVE_REMOTE_STORE_COMMAND_H_

#include <functional>

#include "absl/status/status.h"
#include "command_line/cli.h"

namespace lmserve {

// What a command of lm_store does after the command line has been parsed.
using CommandAction = std::function<absl::Status()>;

// Each function adds one command to lm_store. Parsing a command line that names
// the command sets *action; main() then runs it.
void AddExportOciCommand(cli::App& app, CommandAction* action);
void AddGcCommand(cli::App& app, CommandAction* action);
void AddPullCommand(cli::App& app, CommandAction* action);
void AddPushCommand(cli::App& app, CommandAction* action);
void AddSyncCommand(cli::App& app, CommandAction* action);
void AddVerifyCommand(cli::App& app, CommandAction* action);

}  // namespace lmserve

#endif  // LMSERVE_REMOTE_STORE_COMMAND_H_
