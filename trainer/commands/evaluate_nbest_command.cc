// SPDX-License-Identifier: Apache-2.0
//
// lm_trainer evaluate-nbest: scores several ways to choose from n-best lists.

#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "absl/strings/str_format.h"
#include "reranking/bayes_risk.h"
#include "reranking/metric.h"
#include "trainer/commands/command.h"
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
  bool json = false;
};

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
  const NbestLists& lists = input->lists;
  std::optional<NbestChoice> minimum_risk;
  if (!options.utility.empty()) {
    const absl::StatusOr<Utility> utility = ParseUtility(options.utility);
    if (!utility.ok()) return utility.status();
    minimum_risk =
        ChooseMinimumRisk(lists, input->weights, options.scale, *utility);
  }
  const int reference_count = static_cast<int>(options.input.references.size());
  for (const std::string& name : options.metrics) {
    const auto metric = MakeMetric(name, options.input.tokenizer);
    if (!metric.ok()) return metric.status();
    const NbestCounts counts(lists, input->references, **metric);
    std::vector<std::pair<std::string, NbestChoice>> choices = {
        {"first", ChooseFirst(lists)},
        {"random", ChooseRandom(lists, options.seed)}};
    if (!options.input.weights.empty()) {
      choices.emplace_back("reranked", ChooseWeighted(lists, input->weights));
    }
    if (minimum_risk.has_value()) {
      choices.emplace_back("min risk", *minimum_risk);
    }
    choices.emplace_back("oracle", ChooseOracle(counts));
    const std::vector<NbestRow> rows =
        CompareChoices(counts, choices, options.samples, options.seed);
    options.json ? PrintJson(**metric, reference_count, rows)
                 : PrintText(**metric, reference_count, rows);
  }
  return absl::OkStatus();
}

}  // namespace

void AddEvaluateNbestCommand(cli::App& app, CommandAction* action) {
  auto options = std::make_shared<EvaluateNbestOptions>();
  cli::App& command = *app.add_subcommand(
      "evaluate-nbest",
      "Score several choices from n-best lists: the first candidate of each "
      "list, a random one, the best by --weights, and the best by the "
      "reference (oracle). Paired bootstrap gives 95 % intervals and the "
      "p-value of the difference to the first candidate.\n"
      "  lm_trainer evaluate-nbest --nbest test.nbest --reference test.en "
      "--weights 'lm=0.5 tm[0]=1'");
  AddNbestInputOptions(command, "Feature weights, as NAME=NUMBER (default: 0)",
                       &options->input);
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
