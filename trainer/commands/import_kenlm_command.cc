// SPDX-License-Identifier: Apache-2.0
//
// lm_trainer import-kenlm: publishes a binary file of KenLM.

#include <memory>
#include <string>

#include "model_store/publish.h"
#include "ngram_files/kenlm_file.h"
#include "trainer/commands/command.h"
#include "trainer/commands/import_options.h"

namespace lmserve {
namespace {

struct ImportKenlmOptions {
  ImportTarget target;
  std::string file;
  KenlmOptions kenlm;
};

absl::Status RunImportKenlm(const ImportKenlmOptions& options) {
  if (absl::Status status = CheckCanPublish(options.target.model.store,
                                            options.target.model.model);
      !status.ok()) {
    return status;
  }
  const absl::StatusOr<ImportedNgrams> model =
      ReadKenlm(options.file, options.kenlm);
  if (!model.ok()) return model.status();
  return PublishImported(options.target, options.file, *model);
}

}  // namespace

void AddImportKenlmCommand(cli::App& app, CommandAction* action) {
  auto options = std::make_shared<ImportKenlmOptions>();
  cli::App& command = *app.add_subcommand(
      "import-kenlm",
      "Publish a trie of KenLM's build_binary, quantized or not, as a new "
      "version.\n"
      "  lm_trainer import-kenlm en.trie --store store --model en");
  command
      .add_option("file", options->file,
                  "Binary file of KenLM, with a trie and the words (probing "
                  "hash tables cannot be read: import their ARPA file)")
      ->required()
      ->check(cli::ExistingFile());
  AddUnknownOption(command,
                   "gives <unk> the probability 0, or was built from an ARPA "
                   "file without <unk> [-100 in the second case]",
                   &options->kenlm.unknown_log10);
  AddStrictOption(command, "n-grams with <s> after the first word",
                  &options->kenlm.strict);
  AddImportTarget(command, &options->target);
  command.callback([=] {
    CheckLayoutOptions(options->target.layout);
    *action = [=] { return RunImportKenlm(*options); };
  });
}

}  // namespace lmserve
