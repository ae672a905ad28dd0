// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_COMMANDS_IMPORT_OPTIONS_H_
#define LMSERVE_TRAINER_COMMANDS_IMPORT_OPTIONS_H_

#include <optional>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "command_line/cli.h"
#include "ngram_files/imported_ngrams.h"
#include "trainer/commands/common_options.h"
#include "trainer/commands/layout_options.h"

namespace lmserve {

// What the commands that import n-gram models share.

// --unknown-log10, whose help text starts with the cases in which it is used.
void AddUnknownOption(cli::App& command, absl::string_view cases,
                      std::optional<double>* unknown_log10);

// --strict, with an example of what is otherwise a warning.
void AddStrictOption(cli::App& command, absl::string_view example,
                     bool* strict);

// Where and how an imported model is stored.
struct ImportTarget {
  ModelOptions model;
  LayoutOptions layout;
};

// --store, --model, --layout and --quantize.
void AddImportTarget(cli::App& command, ImportTarget* target);

// Prints the warnings about a file, publishes the model and prints its version.
absl::Status PublishImported(const ImportTarget& target, absl::string_view file,
                             const ImportedNgrams& model);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_COMMANDS_IMPORT_OPTIONS_H_
