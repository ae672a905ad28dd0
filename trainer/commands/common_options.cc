// SPDX-License-Identifier: Apache-2.0
#include "trainer/commands/common_options.h"

#include <iostream>

#include "absl/strings/str_cat.h"
#include "model_store/model_name.h"

namespace lmserve {
namespace {

void AddModelOptions(cli::App& command, const std::string& model_help,
                     ModelOptions* options) {
  command.add_option("--store", options->store, "Directory of the model store")
      ->required();
  command.add_option("--model", options->model, model_help)->required();
}

}  // namespace

void AddTargetOptions(cli::App& command, ModelOptions* options) {
  AddModelOptions(command, "Name of the model to publish", options);
}

void AddSourceOptions(cli::App& command, ModelOptions* options) {
  AddModelOptions(command,
                  "Model to read: NAME (its newest version), NAME@VERSION or "
                  "NAME@ALIAS",
                  options);
}

void AddCorpusOption(cli::App& command, absl::string_view what,
                     std::string* corpus) {
  command
      .add_option("--corpus", *corpus,
                  absl::StrCat(what,
                               ", one sentence per line, plain or compressed "
                               "(.gz, .xz, .bz2, .zst), or - for the standard "
                               "input"))
      ->required();
}

void AddVocabularyOptions(cli::App& command, CorpusOptions* options) {
  command
      .add_option("--vocabulary", options->vocabulary_file,
                  "File with the words that the model knows; all other words "
                  "become <unk>. To mix the model with another one, pass the "
                  "vocabulary.txt of that model's version")
      ->check(cli::ExistingFile());
  command
      .add_option("--min-count", options->min_count,
                  "Words that occur less often become <unk>")
      ->check(cli::Range(1, 1'000'000'000))
      ->capture_default_str();
}

cli::Option* AddPrecisionOption(cli::App& command, std::string* precision) {
  return command
      .add_option("--precision", *precision,
                  "Precision of the published weights: float, bf16 or int8")
      ->check(cli::IsMember({"float", "bf16", "int8"}));
}

void PrintPublished(absl::string_view name, uint64_t version,
                    std::ostream& out) {
  out << VersionName(name, version) << std::endl;
}

void PrintPublished(absl::string_view name, uint64_t version) {
  PrintPublished(name, version, std::cout);
}

}  // namespace lmserve
