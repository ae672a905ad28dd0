// SPDX-License-Identifier: Apache-2.0
//
// lm_trainer evaluate-nbest: scores several ways to choose from n-best lists.

#include <initializer_list>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "model_store/reranker.h"
#include "reranking/bayes_risk.h"
#include "reranking/metric.h"
#include "trainer/commands/command.h"
#include "trainer/commands/common_options.h"
#include "trainer/commands/load_version.h"
#include "trainer/commands/nbest_input.h"
#include "trainer/text/finite_or_null.h"
#include "trainer/tuning/nbest_evaluation.h"

namespace lmserve {
namespace {

struct EvaluateNbestOptions {
  NbestInputOptions input;
  std::vector<std::string> metrics = MetricNames();
  size_t samples = 1000;
  uint64_t seed = 1;
  std::string utility;  // of minimum-Bayes-risk decoding; empty: none
  double scale = 1;
  ModelOptions reranker;  // replaces weights, utility and scale; may be empty
  bool json = false;
};

// How to choose from a list by its features.
struct Scoring {
  std::optional<std::vector<double>> weights;  // of each feature
  std::optional<Utility> utility;              // of minimum-Bayes-risk decoding
  double scale = 1;
};

absl::StatusOr<Scoring> ScoringOfOptions(const EvaluateNbestOptions& options,
                                         const NbestInput& input) {
  Scoring scoring;
  if (!options.input.weights.empty()) scoring.weights = input.weights;
  if (options.utility.empty()) return scoring;
  const absl::StatusOr<Utility> utility = ParseUtility(options.utility);
  if (!utility.ok()) return utility.status();
  scoring.utility = *utility;
  scoring.scale = options.scale;
  return scoring;
}

absl::StatusOr<Scoring> ScoringOfReranker(const ModelOptions& options,
                                          const NbestInput& input) {
  const absl::StatusOr<ModelHandle> handle =
      LoadVersion(options.store, options.model);
  if (!handle.ok()) return handle.status();
  if (!(*handle)->is_reranker()) {
    return absl::FailedPreconditionError(
        absl::StrCat("--reranker: expected a reranker, found the model '",
                     options.model, "'"));
  }
  const lm::v1::Reranker& reranker = (*handle)->reranker();
  absl::StatusOr<std::vector<double>> weights = WeightsOfFeatures(
      "--reranker", FeatureWeights(reranker), input.lists.feature_names);
  if (!weights.ok()) return weights.status();
  Scoring scoring = {.weights = *std::move(weights)};
  if (!reranker.has_minimum_bayes_risk()) return scoring;
  const lm::v1::MinimumBayesRisk& risk = reranker.minimum_bayes_risk();
  scoring.utility = risk.utility() == lm::v1::MinimumBayesRisk::CHRF
                        ? Utility::kChrf
                        : Utility::kBleu;
  if (risk.scale() != 0) scoring.scale = risk.scale();
  return scoring;
}

// The choices that do not depend on a metric. The first is the baseline.
std::vector<std::pair<std::string, NbestChoice>> Choose(const NbestInput& input,
                                                        const Scoring& scoring,
                                                        uint64_t seed) {
  const NbestLists& lists = input.lists;
  std::vector<std::pair<std::string, NbestChoice>> choices = {
      {"first", ChooseFirst(lists)}, {"random", ChooseRandom(lists, seed)}};
  if (scoring.weights.has_value()) {
    choices.emplace_back("reranked", ChooseWeighted(lists, *scoring.weights));
  }
  if (scoring.utility.has_value()) {
    choices.emplace_back(
        "min risk",
        ChooseMinimumRisk(lists, scoring.weights.value_or(input.weights),
                          scoring.scale, *scoring.utility));
  }
  return choices;
}

void PrintText(const Metric& metric, int references,
               const std::vector<NbestRow>& rows) {
  std::cout << absl::StreamFormat("%-9s %8s %8s %8s %8s  (%s)\n", metric.name(),
                                  "score", "mean", "+/-", "p",
                                  metric.signature(references));
  for (const NbestRow& row : rows) {
    std::cout << absl::StreamFormat("%-9s %8.2f %8.2f %8.2f", row.name,
                                    row.score, row.mean, row.interval);
    if (&row != &rows.front()) {
      std::cout << absl::StreamFormat(" %8.4f", row.p_value);
    }
    std::cout << "\n";
  }
}

void PrintJson(const Metric& metric, int references,
               const std::vector<NbestRow>& rows) {
  for (const NbestRow& row : rows) {
    const nlohmann::ordered_json json = {
        {"metric", metric.name()},
        {"signature", metric.signature(references)},
        {"system", row.name},
        {"score", FiniteOrNull(row.score)},
        {"mean", FiniteOrNull(row.mean)},
        {"interval", FiniteOrNull(row.interval)},
        {"p_value", row.p_value}};
    std::cout << json.dump() << "\n";
  }
}

absl::Status RunEvaluateNbest(const EvaluateNbestOptions& options) {
  const absl::StatusOr<NbestInput> input = ReadNbestInput(options.input);
  if (!input.ok()) return input.status();
  const absl::StatusOr<Scoring> scoring =
      options.reranker.model.empty()
          ? ScoringOfOptions(options, *input)
          : ScoringOfReranker(options.reranker, *input);
  if (!scoring.ok()) return scoring.status();
  const auto choices = Choose(*input, *scoring, options.seed);
  const int reference_count = static_cast<int>(options.input.references.size());
  for (const std::string& name : options.metrics) {
    const auto metric = MakeMetric(name, options.input.tokenizer);
    if (!metric.ok()) return metric.status();
    const NbestCounts counts(input->lists, input->references, **metric);
    auto all_choices = choices;
    all_choices.emplace_back("oracle", ChooseOracle(counts));
    const std::vector<NbestRow> rows =
        CompareChoices(counts, all_choices, options.samples, options.seed);
    options.json ? PrintJson(**metric, reference_count, rows)
                 : PrintText(**metric, reference_count, rows);
  }
  return absl::OkStatus();
}

// Adds --reranker, which replaces other options, and --store.
void AddPublishedReranker(cli::App& command, ModelOptions* options,
                          std::initializer_list<cli::Option*> replaced) {
  cli::Option* reranker = command.add_option(
      "--reranker", options->model,
      "Reranker of the store whose weights, and minimum Bayes risk if it has "
      "one, are used: NAME, NAME@VERSION or NAME@ALIAS. The lists must have "
      "its features, as lm_client rerank --reranker NAME --nbest appends them");
  cli::Option* store = command.add_option("--store", options->store,
                                          "Directory of the model store");
  reranker->needs(store);
  store->needs(reranker);
  for (cli::Option* option : replaced) reranker->excludes(option);
}

}  // namespace

void AddEvaluateNbestCommand(cli::App& app, CommandAction* action) {
  auto options = std::make_shared<EvaluateNbestOptions>();
  cli::App& command = *app.add_subcommand(
      "evaluate-nbest",
      "Score several choices from n-best lists: the first candidate of each "
      "list, a random one, the best by --weights or by those of a --reranker, "
      "and the best by the reference (oracle). Paired bootstrap gives 95 % "
      "intervals and the p-value of the difference to the first candidate.\n"
      "  lm_trainer evaluate-nbest --nbest test.nbest --reference test.en "
      "--weights 'lm=0.5 tm[0]=1'\n"
      "  lm_trainer evaluate-nbest --nbest test.nbest --reference test.en "
      "--reranker mt --store store");
  cli::Option* weights = AddNbestInputOptions(
      command, "Feature weights, as NAME=NUMBER (default: 0)", &options->input);
  command
      .add_option("--metric", options->metrics,
                  "One or more of bleu, chrf and wer")
      ->check(cli::IsMember(MetricNames()))
      ->capture_default_str();
  cli::Option* utility =
      command
          .add_option(
              "--minimum-bayes-risk", options->utility,
              "Also score minimum-Bayes-risk decoding, which chooses the "
              "candidate most similar to all others, in bleu or chrf; "
              "each candidate counts with exp(scale * score), where "
              "--weights give the score")
          ->check(cli::IsMember(UtilityNames()));
  command
      .add_option("--scale", options->scale, "Scale of --minimum-bayes-risk")
      ->check(cli::PositiveNumber())
      ->capture_default_str()
      ->needs(utility);
  AddPublishedReranker(command, &options->reranker, {weights, utility});
  command
      .add_option("--samples", options->samples, "Number of bootstrap samples")
      ->check(cli::Range(40, 1'000'000))
      ->capture_default_str();
  command.add_option("--seed", options->seed, "Random seed")
      ->capture_default_str();
  command.add_flag("--json", options->json, "Print each row as a JSON object");
  command.callback(
      [=] { *action = [=] { return RunEvaluateNbest(*options); }; });
}

}  // namespace lmserve
