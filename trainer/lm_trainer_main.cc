// lm_trainer: makes model versions from text, offline.

#include <cstdio>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "trainer/commands/command.h"

namespace {

constexpr int kFailed = 1;
constexpr int kWrongUse = 2;

// What a person can do about a command line that is wrong.
void PrintWrongUse(const CLI::App& app, const CLI::ParseError& error) {
  std::string help = "lm_trainer";
  for (const CLI::App* command : app.get_subcommands()) {
    absl::StrAppend(&help, " ", command->get_name());
  }
  std::string message = error.what();
  message = message.substr(0, message.find('\n'));
  const std::vector<std::string> unknown = app.remaining();
  if (app.get_subcommands().empty() && !unknown.empty()) {
    message = absl::StrCat("no command or option '", unknown[0], "'");
  }
  std::fprintf(stderr, "lm_trainer: %s (see %s --help)\n", message.c_str(),
               help.c_str());
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Makes language models from text for lm_server to serve.",
               "lm_trainer");
  app.set_version_flag("--version",
                       std::string("lm_trainer ") + LMSERVE_VERSION);
  app.require_subcommand(1);
  lmserve::Work work;
  lmserve::AddNgramCommand(app, &work);
  lmserve::AddRecurrentCommand(app, &work);
  lmserve::AddWindowCommand(app, &work);
  lmserve::AddTranslationCommand(app, &work);
  lmserve::AddMixtureCommand(app, &work);
  lmserve::AddImportTorchCommand(app, &work);
  lmserve::AddConvertCommand(app, &work);
  lmserve::AddImportArpaCommand(app, &work);
  lmserve::AddExportArpaCommand(app, &work);
  lmserve::AddEvaluateCommand(app, &work);
  lmserve::AddEvaluateNbestCommand(app, &work);
  lmserve::AddTuneCommand(app, &work);
  lmserve::AddInspectCommand(app, &work);
  lmserve::AddAliasCommand(app, &work);
  lmserve::AddDemoCorpusCommand(app, &work);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help
    PrintWrongUse(app, error);
    return kWrongUse;
  }
  const absl::Status status = work();
  if (status.ok()) return 0;
  std::fprintf(stderr, "lm_trainer: %s\n",
               std::string(status.message()).c_str());
  return kFailed;
}
