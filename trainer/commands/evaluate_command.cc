// SPDX-License-Identifier: Apache-2.0
//
// lm_trainer evaluate: measures the perplexity of a text under a model, or how
// well a model labels a text.

#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "model_store/load_version.h"
#include "trainer/commands/column_options.h"
#include "trainer/commands/command.h"
#include "trainer/commands/common_options.h"
#include "trainer/evaluation/evaluate.h"
#include "trainer/evaluation/evaluate_labels.h"
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
  ColumnOptions columns;  // of the corpus of a tagger
};

void PrintLine(absl::string_view name, const std::string& value) {
  std::cout << absl::StreamFormat("%-24s  %s\n", name, value);
}

std::string Decimals(double value) { return absl::StrFormat("%.4f", value); }

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
  PrintLine("tokens", absl::StrCat(result.tokens));
  PrintLine("oov", absl::StrCat(result.oov));
  PrintLine(absl::StrCat(prefix, "log_prob"), Decimals(result.log_prob));
  PrintLine(absl::StrCat(prefix, "perplexity"), Decimals(result.Perplexity()));
  PrintLine(absl::StrCat(prefix, "perplexity_excluding_oov"),
            Decimals(result.PerplexityExcludingOov()));
  PrintLine("words_per_second",
            absl::StrFormat("%.0f", result.WordsPerSecond()));
}

void PrintJson(const LabelEvaluation& result) {
  nlohmann::ordered_json json = {
      {"sentences", result.sentences},
      {"tokens", result.words},
      {"oov", result.oov},
      {"labels", result.labels},
      {"log_prob", FiniteOrNull(result.log_prob)},
      {"accuracy", result.Accuracy()},
  };
  if (result.labels == result.words) {
    json["oov_accuracy"] = result.OovAccuracy();
  }
  if (result.chunks.has_value()) {
    json["precision"] = result.chunks->Precision();
    json["recall"] = result.chunks->Recall();
    json["f1"] = result.chunks->F1();
  }
  json["words_per_second"] = FiniteOrNull(result.WordsPerSecond());
  std::cout << json.dump() << std::endl;
}

void PrintText(const LabelEvaluation& result) {
  PrintLine("sentences", absl::StrCat(result.sentences));
  PrintLine("tokens", absl::StrCat(result.words));
  PrintLine("oov", absl::StrCat(result.oov));
  PrintLine("log_prob", Decimals(result.log_prob));
  PrintLine("accuracy", Decimals(result.Accuracy()));
  if (result.labels == result.words) {
    PrintLine("oov_accuracy", Decimals(result.OovAccuracy()));
  }
  if (result.chunks.has_value()) {
    PrintLine("precision", Decimals(result.chunks->Precision()));
    PrintLine("recall", Decimals(result.chunks->Recall()));
    PrintLine("f1", Decimals(result.chunks->F1()));
  }
  PrintLine("words_per_second",
            absl::StrFormat("%.0f", result.WordsPerSecond()));
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

absl::StatusOr<LabelEvaluation> EvaluateLabeling(const EvaluateOptions& options,
                                                 const AnyModel& model) {
  if (!options.source.empty() || options.stream) {
    return absl::InvalidArgumentError(absl::StrCat(
        options.stream ? "--stream" : "--source", ": ", KindName(model.kind()),
        " labels sentences, and does not score them"));
  }
  const absl::StatusOr<std::unique_ptr<LineReader>> lines =
      LineReader::Open(options.corpus);
  if (!lines.ok()) return lines.status();
  const bool tags = model.kind() == ModelKind::kTagger;
  const absl::StatusOr<std::vector<LabeledSentence>> sentences =
      tags ? ReadTaggedText(**lines, options.columns.Format())
           : ReadClassifiedText(**lines);
  if (!sentences.ok()) return sentences.status();
  return tags ? EvaluateLabels(*model.tagger(), *sentences)
              : EvaluateLabels(*model.classifier(), *sentences);
}

absl::Status RunEvaluate(const EvaluateOptions& options) {
  absl::StatusOr<ModelHandle> handle =
      LoadModelVersion(options.model.store, options.model.model);
  if (!handle.ok()) return handle.status();
  const AnyModel& model = (*handle)->model();
  if (!model.scores_texts()) {
    const absl::StatusOr<LabelEvaluation> result =
        EvaluateLabeling(options, model);
    if (!result.ok()) return result.status();
    options.json ? PrintJson(*result) : PrintText(*result);
    return absl::OkStatus();
  }
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
      "Measure the perplexity of a text under a model, or the accuracy of the "
      "labels that a tagger or a classifier gives it.\n"
      "  lm_trainer evaluate --corpus test.xz --store store --model en");
  AddCorpusOptions(command,
                   "Text to score or, with its labels, for a tagger or a "
                   "classifier, in the form that these are trained on",
                   &options->corpus, &options->rules);
  AddColumnOptions(command, &options->columns);
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
