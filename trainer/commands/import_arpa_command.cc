// SPDX-License-Identifier: Apache-2.0
//
// lm_trainer import-arpa: publishes an ARPA file.

#include <memory>

#include "absl/strings/str_cat.h"
#include "model_store/publish.h"
#include "trainer/commands/command.h"
#include "trainer/commands/common_options.h"
#include "trainer/ngram/arpa.h"
#include "trainer/ngram/publish_ngram.h"
#include "trainer/text/corpus.h"
#include "trainer/text/status_line.h"

namespace lmserve {
namespace {

struct ImportArpaOptions {
  ModelOptions target;
  std::string file;
  ArpaOptions arpa;
};

absl::Status RunImportArpa(const ImportArpaOptions& options) {
  if (absl::Status status =
          CheckCanPublish(options.target.store, options.target.model);
      !status.ok()) {
    return status;
  }
  absl::StatusOr<std::unique_ptr<LineReader>> lines =
      LineReader::Open(options.file);
  if (!lines.ok()) return lines.status();
  const absl::StatusOr<ArpaModel> model = ReadArpa(**lines, options.arpa);
  if (!model.ok()) return model.status();
  for (const std::string& warning : model->warnings) {
    PrintMessage(absl::StrCat("warning: ", (*lines)->name(), ": ", warning));
  }
  const absl::StatusOr<uint64_t> version = PublishNgram(
      options.target.store, options.target.model, model->vocabulary,
      model->table, {{"source", "ARPA file"}}, {FirstWords(model->vocabulary)});
  if (!version.ok()) return version.status();
  PrintPublished(options.target.model, *version);
  return absl::OkStatus();
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
  command
      .add_option("--unknown-log10", options->arpa.unknown_log10,
                  "log10 P(<unk>) if the file has no <unk> or gives it the "
                  "probability 0 [-100 if the file has no <unk>]")
      ->check(cli::Range(-1000.0, 0.0));
  command.add_flag("--clamp-positive", options->arpa.clamp_positive,
                   "Replace positive log-probabilities by 0 instead of "
                   "rejecting the file");
  command.add_flag("--strict", options->arpa.strict,
                   "Reject the file in all cases that are otherwise warnings, "
                   "such as an n-gram that occurs twice");
  AddTargetOptions(command, &options->target);
  command.callback([=] { *action = [=] { return RunImportArpa(*options); }; });
}

}  // namespace lmserve
