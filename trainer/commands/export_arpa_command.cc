// SPDX-License-Identifier: Apache-2.0
//
// lm_trainer export-arpa: writes an n-gram model as an ARPA file.

#include <memory>

#include "model_store/model_name.h"
#include "model_store/publish.h"
#include "trainer/commands/command.h"
#include "trainer/commands/common_options.h"
#include "trainer/ngram/arpa_file.h"

namespace lmserve {
namespace {

struct ExportOptions {
  ModelOptions source;
  std::string file;
};

absl::Status RunExport(const ExportOptions& options) {
  const absl::StatusOr<uint64_t> version =
      FindVersion(options.source.store, options.source.model);
  if (!version.ok()) return version.status();
  return WriteArpaFile(options.source.store,
                       ParseModelName(options.source.model)->name, *version,
                       options.file);
}

}  // namespace

void AddExportArpaCommand(cli::App& app, CommandAction* action) {
  auto options = std::make_shared<ExportOptions>();
  cli::App& command = *app.add_subcommand(
      "export-arpa",
      "Write an n-gram model as an ARPA file.\n"
      "  lm_trainer export-arpa en.arpa --store store --model en");
  command
      .add_option("file", options->file,
                  "ARPA file to write, compressed if its name ends in .gz, "
                  ".xz, .bz2 or .zst, or - for the standard output")
      ->required();
  AddSourceOptions(command, &options->source);
  command.callback([=] { *action = [=] { return RunExport(*options); }; });
}

}  // namespace lmserve
