// SPDX-License-Identifier: Apache-2.0
//
// lm_trainer evaluate-nbest: scores several ways to choose from n-best lists.

#include <initializer_list>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "model_store/load_version.h"
#include "model_store/reranker.h"
#include "reranking/bayes_risk.h"
#include "reranking/metric.h"
#include "trainer/commands/command.h"
#include "trainer/commands/common_options.h"
#include "trainer/commands/comparison.h"
#include "trainer/commands/nbest_input.h"
#include "trainer/commands/reranker_members.h"
#include "trainer/tuning/nbest_evaluation.h"

namespace lmserve {
namespace {

struct EvaluateNbestOptions {
  NbestInputOptions input;
  std::string utility;  // of minimum-Bayes-risk decoding; empty: none
  double scale = 1;
  ModelOptions reranker;  // replaces weights, utility and scale; may be empty
  ComparisonOptions comparison;
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
  if (!weights.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(
        weights.status().message(), "; append them with lm_client rerank ",
        "--reranker ", options.model, " --nbest"));
  }
  absl::Status status = CheckMembers(options.store, reranker, input.lists);
  if (!status.ok()) return status;
  Scoring scoring;
  scoring.weights = *std::move(weights);
  if (!reranker.has_minimum_bayes_risk()) return scoring;
  const lm::v1::MinimumBayesRisk& risk = reranker.minimum_bayes_risk();
  scoring.utility = risk.utility() == lm::v1::MinimumBayesRisk::UTILITY_CHRF
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

absl::Status RunEvaluateNbest(const EvaluateNbestOptions& options) {
  const absl::StatusOr<NbestInput> input = ReadNbestInput(options.input);
  if (!input.ok()) return input.status();
  const absl::StatusOr<Scoring> scoring =
      options.reranker.model.empty()
          ? ScoringOfOptions(options, *input)
          : ScoringOfReranker(options.reranker, *input);
  if (!scoring.ok()) return scoring.status();
  const ComparisonOptions& comparison = options.comparison;
  const auto choices = Choose(*input, *scoring, comparison.seed);
  for (const std::string& name : comparison.metrics) {
    const auto metric = MakeMetric(name, options.input.tokenizer);
    if (!metric.ok()) return metric.status();
    const NbestCounts counts(input->lists, input->references, **metric);
    auto all_choices = choices;
    all_choices.emplace_back("oracle", ChooseOracle(counts));
    PrintComparison(comparison, **metric, options.input.references.size(),
                    CompareChoices(counts, all_choices, comparison.samples,
                                   comparison.seed));
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
  AddComparisonOptions(command, &options->comparison);
  command.callback(
      [=] { *action = [=] { return RunEvaluateNbest(*options); }; });
}

}  // namespace lmserve
