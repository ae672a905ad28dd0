// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_COMMANDS_COMMON_OPTIONS_H_
#define LMSERVE_TRAINER_COMMANDS_COMMON_OPTIONS_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "command_line/cli.h"
#include "trainer/text/corpus.h"

namespace lmserve {

// Options that several commands have.

// --store and --model.
struct ModelOptions {
  std::string store;
  std::string model;
};

// For a command that publishes a new version, or that changes a model
// otherwise:
// --model is a name.
void AddTargetOptions(
    cli::App& command, ModelOptions* options,
    const std::string& model_help = "Name of the model to publish");

// For a command that reads a version: --model is NAME, NAME@VERSION or
// NAME@ALIAS.
void AddSourceOptions(cli::App& command, ModelOptions* options);

// --corpus, --markers, --invalid-utf8 and --unk; --corpus must be given. The
// help text starts with what the text is, as in "Text to train on". The rules
// are those of all texts of the command.
void AddCorpusOptions(cli::App& command, absl::string_view what,
                      std::string* corpus, TextRules* rules);

// The parts of AddCorpusOptions(): --corpus, which need not be given, and the
// other options.
cli::Option* AddCorpusOption(cli::App& command, absl::string_view what,
                             std::string* corpus);
void AddTextRules(cli::App& command, TextRules* rules);

// --vocabulary and --min-count.
void AddVocabularyOptions(cli::App& command, CorpusOptions* options);

// --precision of the weights that are published.
cli::Option* AddPrecisionOption(cli::App& command, std::string* precision);

// Writes NAME@VERSION to the standard output: the result of a command that
// publishes.
void PrintPublished(absl::string_view name, uint64_t version);

// Writes "published NAME@VERSION" to the standard error, for a command that
// publishes but whose result is something else.
void ReportPublished(absl::string_view name, uint64_t version);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_COMMANDS_COMMON_OPTIONS_H_
