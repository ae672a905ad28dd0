// SPDX-License-Identifier: Apache-2.0
//
// lm_trainer import-arpa: publishes an ARPA file.

#include <memory>
#include <string>

#include "model_store/publish.h"
#include "ngram_files/arpa.h"
#include "trainer/commands/command.h"
#include "trainer/commands/import_options.h"

namespace lmserve {
namespace {

struct ImportArpaOptions {
  ImportTarget target;
  std::string file;
  ArpaOptions arpa;
};

absl::Status RunImportArpa(const ImportArpaOptions& options) {
  if (absl::Status status = CheckCanPublish(options.target.model.store,
                                            options.target.model.model);
      !status.ok()) {
    return status;
  }
  absl::StatusOr<std::unique_ptr<LineReader>> lines =
      LineReader::Open(options.file);
  if (!lines.ok()) return lines.status();
  const absl::StatusOr<ImportedNgrams> model = ReadArpa(**lines, options.arpa);
  if (!model.ok()) return model.status();
  return PublishImported(options.target, (*lines)->name(), *model);
}

}  // namespace

void AddImportArpaCommand(cli::App& app, CommandAction* action) {
  auto options = std::make_shared<ImportArpaOptions>();
  cli::App& command = *app.add_subcommand(
      "import-arpa",
      "Publish an ARPA file of KenLM, SRILM or IRSTLM as a new version.\n"
      "  lm_trainer import-arpa en.arpa.gz --store store --model en");
  command
      .add_option("file", options->file,
                  "ARPA file, plain or compressed (.gz, .xz, .bz2, .zst), or - "
                  "for the standard input")
      ->required();
  AddUnknownOption(command,
                   "has no <unk> or gives it the probability 0 [-100 if the "
                   "file has no <unk>]",
                   &options->arpa.unknown_log10);
  command.add_flag("--clamp-positive", options->arpa.clamp_positive,
                   "Replace positive log-probabilities by 0 instead of "
                   "rejecting the file");
  AddStrictOption(command, "an n-gram that occurs twice",
                  &options->arpa.strict);
  AddImportTarget(command, &options->target);
  command.callback([=] {
    CheckLayoutOptions(options->target.layout);
    *action = [=] { return RunImportArpa(*options); };
  });
}

}  // namespace lmserve
