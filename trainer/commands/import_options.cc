// SPDX-License-Identifier: Apache-2.0
#include "trainer/commands/import_options.h"

#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "trainer/ngram/publish_ngram.h"
#include "trainer/text/corpus.h"
#include "trainer/text/status_line.h"

namespace lmserve {

void AddUnknownOption(cli::App& command, absl::string_view cases,
                      std::optional<double>* unknown_log10) {
  command
      .add_option("--unknown-log10", *unknown_log10,
                  absl::StrCat("log10 P(<unk>) if the file ", cases))
      ->check(cli::Range(-1000.0, 0.0));
}

void AddStrictOption(cli::App& command, absl::string_view example,
                     bool* strict) {
  command.add_flag("--strict", *strict,
                   absl::StrCat("Reject the file in all cases that are "
                                "otherwise warnings, such as ",
                                example));
}

void AddImportTarget(cli::App& command, ImportTarget* target) {
  AddLayoutOptions(command, "3 to 5", &target->layout);
  AddTargetOptions(command, &target->model);
}

absl::Status PublishImported(const ImportTarget& target, absl::string_view file,
                             const ImportedNgrams& model) {
  for (const std::string& warning : model.warnings) {
    PrintMessage(absl::StrCat("warning: ", file, ": ", warning));
  }
  const absl::StatusOr<NgramFileContents> contents =
      BuildTableFile(model.table, target.layout);
  if (!contents.ok()) return contents.status();
  std::map<std::string, std::string> properties = model.properties;
  AddLayoutProperties(target.layout, &properties);
  const absl::StatusOr<uint64_t> version = PublishNgram(
      target.model.store, target.model.model, model.vocabulary, *contents,
      std::move(properties), {FirstWords(model.vocabulary)});
  if (!version.ok()) return version.status();
  PrintPublished(target.model.model, *version);
  return absl::OkStatus();
}

}  // namespace lmserve
