#ifndef LMSERVE_TRAINER_COMMANDS_COMMAND_H_
#define LMSERVE_TRAINER_COMMANDS_COMMAND_H_

#include <CLI/CLI.hpp>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "model_store/loaded_version.h"

namespace lmserve {

// The work that the command line chose.
using Work = std::function<absl::Status()>;

// Each adds a command of lm_trainer, which sets *work once it is parsed.
void AddNgramCommand(CLI::App& app, Work* work);
void AddRecurrentCommand(CLI::App& app, Work* work);
void AddWindowCommand(CLI::App& app, Work* work);
void AddTranslationCommand(CLI::App& app, Work* work);
void AddMixtureCommand(CLI::App& app, Work* work);
void AddImportTorchCommand(CLI::App& app, Work* work);
void AddConvertCommand(CLI::App& app, Work* work);
void AddImportArpaCommand(CLI::App& app, Work* work);
void AddExportArpaCommand(CLI::App& app, Work* work);
void AddEvaluateCommand(CLI::App& app, Work* work);
void AddEvaluateNbestCommand(CLI::App& app, Work* work);
void AddTuneCommand(CLI::App& app, Work* work);
void AddInspectCommand(CLI::App& app, Work* work);
void AddAliasCommand(CLI::App& app, Work* work);
void AddDemoCorpusCommand(CLI::App& app, Work* work);

// The options --store and --model that most commands have.
struct ModelOptions {
  std::string store;
  std::string model;
};

void AddModelOptions(CLI::App& command, absl::string_view what,
                     ModelOptions* options);

// Loads a version of a store: NAME, NAME@VERSION or NAME@ALIAS. Fails with
// FAILED_PRECONDITION where it is a reranker.
absl::StatusOr<ModelHandle> LoadNamed(const std::string& store,
                                      const std::string& spec);

// JSON has no infinity: null.
nlohmann::json JsonNumber(double value);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_COMMANDS_COMMAND_H_
