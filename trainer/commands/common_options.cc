// SPDX-License-Identifier: Apache-2.0
#include "trainer/commands/common_options.h"

#include <initializer_list>
#include <iostream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "model_store/model_name.h"
#include "trainer/text/status_line.h"

namespace lmserve {
namespace {

// What --unk does: <unk> in a text is the unknown word already.
constexpr std::initializer_list<std::pair<const char*, UnwantedWord>>
    kUnknownWords = {{"keep", UnwantedWord::kReplace},
                     {"skip", UnwantedWord::kSkip},
                     {"refuse", UnwantedWord::kRefuse}};

constexpr std::initializer_list<std::pair<const char*, UnwantedWord>>
    kUnwantedWords = {{"refuse", UnwantedWord::kRefuse},
                      {"skip", UnwantedWord::kSkip},
                      {"replace", UnwantedWord::kReplace}};

void AddModelOptions(cli::App& command, const std::string& model_help,
                     ModelOptions* options) {
  command.add_option("--store", options->store, "Directory of the model store")
      ->required();
  command.add_option("--model", options->model, model_help)->required();
}

}  // namespace

void AddTargetOptions(cli::App& command, ModelOptions* options,
                      const std::string& model_help) {
  AddModelOptions(command, model_help, options);
}

void AddSourceOptions(cli::App& command, ModelOptions* options) {
  AddModelOptions(command,
                  "Model to read: NAME (the version of its alias default, else "
                  "the newest), NAME@VERSION or NAME@ALIAS",
                  options);
}

void AddCorpusOptions(cli::App& command, absl::string_view what,
                      std::string* corpus, TextRules* rules) {
  AddCorpusOption(command, what, corpus)->required();
  AddTextRules(command, rules);
}

cli::Option* AddCorpusOption(cli::App& command, absl::string_view what,
                             std::string* corpus) {
  return command.add_option(
      "--corpus", *corpus,
      absl::StrCat(what,
                   ", one sentence per line, plain or compressed "
                   "(.gz, .xz, .bz2, .zst), or - for the standard "
                   "input"));
}

void AddTextRules(cli::App& command, TextRules* rules) {
  command
      .add_enum<UnwantedWord>(
          "--markers", rules->markers, kUnwantedWords,
          "Words <s> and </s> inside a line of a text: refuse the text, skip "
          "them like white space, or replace them by <unk>. Around a line they "
          "are passed over")
      ->default_str("refuse");
  command
      .add_enum<UnwantedWord>(
          "--invalid-utf8", rules->invalid_utf8, kUnwantedWords,
          "Words that are not valid UTF-8: refuse the text, "
          "skip them, or replace them by <unk>")
      ->default_str("refuse");
  command
      .add_enum<UnwantedWord>(
          "--unk", rules->unknown, kUnknownWords,
          "Words <unk> and <UNK> of a text: keep them, so that a model learns "
          "the unknown word from them like any word, skip them like white "
          "space, or refuse the text")
      ->default_str("keep");
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

void PrintPublished(absl::string_view name, uint64_t version) {
  std::cout << VersionName(name, version) << std::endl;
}

void ReportPublished(absl::string_view name, uint64_t version) {
  PrintMessage(absl::StrCat("published ", VersionName(name, version)));
}

}  // namespace lmserve
