// SPDX-License-Identifier: Apache-2.0
//
// lm_trainer evaluate: measures the perplexity of a text under a model.

#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "trainer/commands/command.h"
#include "trainer/commands/common_options.h"
#include "trainer/commands/load_version.h"
#include "trainer/evaluation/evaluate.h"
#include "trainer/text/finite_or_null.h"
#include "trainer/text/parallel_corpus.h"

namespace lmserve {
namespace {

struct EvaluateOptions {
  ModelOptions model;
  std::string corpus;
  TextRules rules;
  std::string source;  // the text that the corpus translates; else empty
  bool stream = false;
  bool json = false;
};

void PrintJson(const Evaluation& result) {
  const nlohmann::ordered_json json = {
      {"tokens", result.tokens},
      {"oov", result.oov},
      {"log_prob", FiniteOrNull(result.log_prob)},
      {"perplexity", FiniteOrNull(result.Perplexity())},
      {"perplexity_excluding_oov",
       FiniteOrNull(result.PerplexityExcludingOov())},
      {"words_per_second", FiniteOrNull(result.WordsPerSecond())},
  };
  std::cout << json.dump() << std::endl;
}

// A bidirectional model predicts each word from the words on both sides. Its
// perplexity cannot be compared with that of other models, so it is printed
// under another name.
void PrintText(const Evaluation& result, bool bidirectional) {
  const char* prefix = bidirectional ? "pseudo_" : "";
  const auto print = [](absl::string_view name, const std::string& value) {
    std::cout << absl::StreamFormat("%-24s  %s\n", name, value);
  };
  const auto decimals = [](double value) {
    return absl::StrFormat("%.4f", value);
  };
  print("tokens", absl::StrCat(result.tokens));
  print("oov", absl::StrCat(result.oov));
  print(absl::StrCat(prefix, "log_prob"), decimals(result.log_prob));
  print(absl::StrCat(prefix, "perplexity"), decimals(result.Perplexity()));
  print(absl::StrCat(prefix, "perplexity_excluding_oov"),
        decimals(result.PerplexityExcludingOov()));
  print("words_per_second", absl::StrFormat("%.0f", result.WordsPerSecond()));
}

absl::StatusOr<Evaluation> EvaluateTranslation(const EvaluateOptions& options,
                                               const TranslationModel& model) {
  if (options.source.empty()) {
    return absl::InvalidArgumentError(
        "expected --source, because a translation model scores sentences given "
        "their sources");
  }
  if (options.stream) {
    return absl::InvalidArgumentError(
        "--stream: a translation model scores sentence by sentence");
  }
  const absl::StatusOr<std::vector<SentencePair>> pairs = ReadSentencePairs(
      options.source, model.source_vocabulary(), options.corpus,
      model.decoder().vocabulary(), options.rules);
  if (!pairs.ok()) return pairs.status();
  return Evaluate(model, *pairs);
}

absl::StatusOr<Evaluation> EvaluateText(const EvaluateOptions& options,
                                        const AnyModel& model) {
  if (!options.source.empty()) {
    return absl::InvalidArgumentError(
        "--source: only a translation model has a source");
  }
  if (options.stream && model.kind() == ModelKind::kBidirectional) {
    return absl::InvalidArgumentError(
        "--stream: a bidirectional model scores sentence by sentence");
  }
  absl::StatusOr<std::unique_ptr<LineReader>> lines =
      LineReader::Open(options.corpus);
  if (!lines.ok()) return lines.status();
  Progress progress("evaluating", /*quiet=*/options.json);
  if (model.kind() == ModelKind::kBidirectional) {
    return Evaluate(*model.bidirectional(), **lines, options.rules, progress);
  }
  TextRules rules = options.rules;
  if (options.stream) rules.form = TextForm::kStream;
  return Evaluate(*model.left_to_right(), **lines, rules, progress);
}

absl::Status RunEvaluate(const EvaluateOptions& options) {
  absl::StatusOr<ModelHandle> handle =
      LoadModelVersion(options.model.store, options.model.model);
  if (!handle.ok()) return handle.status();
  const AnyModel& model = (*handle)->model();
  const absl::StatusOr<Evaluation> result =
      model.kind() == ModelKind::kTranslation
          ? EvaluateTranslation(options, *model.translation())
          : EvaluateText(options, model);
  if (!result.ok()) return result.status();
  if (options.json) {
    PrintJson(*result);
  } else {
    PrintText(*result, model.kind() == ModelKind::kBidirectional);
  }
  return absl::OkStatus();
}

}  // namespace

void AddEvaluateCommand(cli::App& app, CommandAction* action) {
  auto options = std::make_shared<EvaluateOptions>();
  cli::App& command = *app.add_subcommand(
      "evaluate",
      "Measure the perplexity of a text under a model.\n"
      "  lm_trainer evaluate --corpus test.xz --store store --model en");
  AddCorpusOptions(command, "Text to score", &options->corpus, &options->rules);
  command.add_option("--source", options->source,
                     "For a translation model: the source text; line i of "
                     "--corpus is the translation of its line i");
  command.add_flag("--stream", options->stream,
                   "Score the text as one stream: keep the model's state from "
                   "one sentence to the next, and count a blank line as an "
                   "empty sentence");
  command.add_flag("--json", options->json, "Print the result as JSON");
  AddSourceOptions(command, &options->model);
  command.callback([=] { *action = [=] { return RunEvaluate(*options); }; });
}

}  // namespace lmserve
