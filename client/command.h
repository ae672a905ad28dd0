#ifndef LMSERVE_CLIENT_COMMAND_H_
#define LMSERVE_CLIENT_COMMAND_H_

#include <CLI/CLI.hpp>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/client.h"

namespace lmserve {

// The options that all commands of lm_client have.
struct CommonOptions {
  ClientOptions client;
  bool json = false;
};

// Runs the command that the command line chose. Returns false, which becomes
// exit code 1, if the command succeeded and its answer is no.
using CommandFunction =
    std::function<absl::StatusOr<bool>(const CommonOptions&)>;

// Each adds a command to lm_client. When the command line has it, parsing sets
// *run.
void AddScoreCommand(CLI::App& app, CommandFunction* run);
void AddPredictCommand(CLI::App& app, CommandFunction* run);
void AddRerankCommand(CLI::App& app, CommandFunction* run);
void AddGenerateCommand(CLI::App& app, CommandFunction* run);
void AddTranslateCommand(CLI::App& app, CommandFunction* run);
void AddModelsCommand(CLI::App& app, CommandFunction* run);
void AddHealthCommand(CLI::App& app, CommandFunction* run);
void AddLoadCommand(CLI::App& app, CommandFunction* run);
void AddUnloadCommand(CLI::App& app, CommandFunction* run);
void AddAliasCommand(CLI::App& app, CommandFunction* run);

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

// Reads texts one by one: the arguments of a command or, without arguments, the
// lines of standard input. Returns each as it is, blank ones too. Not
// thread-safe.
class ArgumentsOrLines {
 public:
  explicit ArgumentsOrLines(std::vector<std::string> arguments)
      : arguments_(std::move(arguments)) {}

  // Returns false at the end.
  bool Next(std::string* text);

  bool reads_lines() const { return arguments_.empty(); }

 private:
  const std::vector<std::string> arguments_;
  size_t next_ = 0;
};

// Reads texts like ArgumentsOrLines, but skips and counts blank ones and
// removes a carriage return from the end of a line. Not thread-safe.
class TextSource {
 public:
  explicit TextSource(std::vector<std::string> arguments)
      : texts_(std::move(arguments)) {}

  // Returns false at the end.
  bool Next(std::string* text);

  // The number of blank texts that were skipped.
  uint64_t blank() const { return blank_; }

  // The number of texts read so far, blank ones included; so it is the line
  // number, from 1, of the last text that Next() returned.
  uint64_t number() const { return read_; }

 private:
  ArgumentsOrLines texts_;
  uint64_t blank_ = 0;
  uint64_t read_ = 0;
};

}  // namespace lmserve

#endif  // LMSERVE_CLIENT_COMMAND_H_
