// SPDX-License-Identifier: Apache-2.0
//
// lm_trainer tune: finds feature weights that choose good candidates from
// n-best lists.

#include <iostream>
#include <map>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "reranking/metric.h"
#include "trainer/commands/command.h"
#include "trainer/commands/common_options.h"
#include "trainer/commands/nbest_input.h"
#include "trainer/commands/publish_reranker.h"
#include "trainer/text/status_line.h"
#include "trainer/tuning/mert.h"
#include "trainer/tuning/mira.h"
#include "trainer/tuning/nbest_evaluation.h"
#include "trainer/tuning/nbest_features.h"

namespace lmserve {
namespace {

struct TuneOptions {
  NbestInputOptions input;
  std::string metric = "bleu";
  std::string algorithm = "mert";
  uint64_t seed = 1;
  MertOptions mert;
  MiraOptions mira;
  RerankerOptions reranker;
};

void WarnAboutUnidentifiable(const NbestLists& lists) {
  const std::vector<bool> identifiable = FindIdentifiable(lists);
  for (size_t f = 0; f < identifiable.size(); ++f) {
    if (identifiable[f]) continue;
    PrintMessage(absl::StrCat(
        "warning: the weight of ", lists.feature_names[f],
        " is undetermined: within each list, the feature is the same for all "
        "candidates or a linear combination of the features before it"));
  }
}

void PrintWeights(const NbestLists& lists, absl::Span<const double> tuned) {
  std::vector<std::string> weights;
  for (size_t f = 0; f < tuned.size(); ++f) {
    if (tuned[f] == 0) continue;
    weights.push_back(
        absl::StrFormat("%s=%.9g", lists.feature_names[f], tuned[f]));
  }
  std::cout << absl::StrJoin(weights, " ") << std::endl;
}

absl::Status Publish(const RerankerOptions& options, const NbestLists& lists,
                     absl::Span<const double> tuned,
                     const std::map<std::string, std::string>& properties) {
  std::vector<std::string> left_out;
  const absl::StatusOr<lm::v1::Reranker> reranker =
      MakeReranker(options, lists.feature_names, tuned, &left_out);
  if (!reranker.ok()) return reranker.status();
  for (const std::string& member : left_out) {
    PrintMessage(absl::StrCat("left out ", member, ": its weights are 0"));
  }
  const absl::StatusOr<uint64_t> version =
      PublishReranker(options, *reranker, properties);
  if (!version.ok()) return version.status();
  ReportPublished(options.model, *version);
  return absl::OkStatus();
}

std::vector<double> Tune(const NbestInput& input, const NbestCounts& counts,
                         TuneOptions options) {
  options.mert.seed = options.mira.seed = options.seed;
  return options.algorithm == "mira"
             ? TuneByMira(input.lists, counts, input.weights, options.mira)
             : TuneByMert(input.lists, counts, input.weights, options.mert);
}

absl::Status RunTune(const TuneOptions& options) {
  const absl::StatusOr<NbestInput> input = ReadNbestInput(options.input);
  if (!input.ok()) return input.status();
  const NbestLists& lists = input->lists;
  const auto metric = MakeMetric(options.metric, options.input.tokenizer);
  if (!metric.ok()) return metric.status();
  WarnAboutUnidentifiable(lists);
  const NbestCounts counts(lists, input->references, **metric);
  const std::vector<double> tuned = Tune(*input, counts, options);
  const auto score = [&](const NbestChoice& choice) {
    return absl::StrFormat("%.2f", counts.Score(choice));
  };
  const std::map<std::string, std::string> properties = {
      {"tuned_for", absl::StrCat((*metric)->name(), " ",
                                 (*metric)->signature(static_cast<int>(
                                     options.input.references.size())))},
      {"tuned_by", options.algorithm},
      {"lists", absl::StrCat(lists.lists.size())},
      {"candidates", absl::StrCat(lists.candidates())},
      {"first", score(ChooseFirst(lists))},
      {"tuned", score(ChooseWeighted(lists, tuned))},
      {"oracle", score(ChooseOracle(counts))}};
  PrintMessage(absl::StrCat(
      (*metric)->name(), ": first ", properties.at("first"), ", tuned ",
      properties.at("tuned"), ", oracle ", properties.at("oracle")));
  PrintWeights(lists, tuned);
  if (options.reranker.model.empty()) return absl::OkStatus();
  return Publish(options.reranker, lists, tuned, properties);
}

// An option that applies to one algorithm only.
struct AlgorithmOption {
  const cli::Option* option;
  std::string algorithm;
};

std::vector<AlgorithmOption> AddAlgorithmOptions(cli::App& command,
                                                 TuneOptions* options) {
  command
      .add_option(
          "--algorithm", options->algorithm,
          "mert (minimum error rate training: an exact line search, for "
          "few features) or mira (k-best batch MIRA, for many)")
      ->check(cli::IsMember({"mert", "mira"}))
      ->capture_default_str();
  cli::Option* restarts =
      command
          .add_option("--restarts", options->mert.restarts,
                      "With mert: additional searches that start from random "
                      "weights")
          ->check(cli::Range(0, 10'000))
          ->capture_default_str();
  cli::Option* epochs = command
                            .add_option("--epochs", options->mira.epochs,
                                        "With mira: passes over the lists")
                            ->check(cli::Range(1, 100'000))
                            ->capture_default_str();
  cli::Option* c =
      command
          .add_option("--c", options->mira.c,
                      "With mira: limits how far one list moves the weights")
          ->check(cli::PositiveNumber())
          ->capture_default_str();
  return {{restarts, "mert"}, {epochs, "mira"}, {c, "mira"}};
}

}  // namespace

void AddTuneCommand(cli::App& app, CommandAction* action) {
  auto options = std::make_shared<TuneOptions>();
  cli::App& command = *app.add_subcommand(
      "tune",
      "Find the feature weights whose choices from n-best lists score best in "
      "a metric, and print them. With --model, also publish a reranker that "
      "uses them; the standard output has the weights alone.\n"
      "  lm_trainer tune --nbest dev.nbest --reference dev.en --metric bleu\n"
      "  lm_trainer tune --algorithm mira --nbest dev.nbest --reference "
      "dev.en\n"
      "  lm_trainer tune --nbest dev.nbest --reference dev.en --member en "
      "--store store --model mt");
  AddNbestInputOptions(command, "Initial weights, as NAME=NUMBER (default: 0)",
                       &options->input);
  command
      .add_option("--metric", options->metric,
                  "Metric to optimize: bleu, chrf or wer")
      ->check(cli::IsMember(MetricNames()))
      ->capture_default_str();
  const std::vector<AlgorithmOption> algorithm_options =
      AddAlgorithmOptions(command, options.get());
  command.add_option("--seed", options->seed, "Random seed")
      ->capture_default_str();
  AddRerankerOptions(command, &options->reranker);
  command.callback([=] {
    for (const auto& [option, algorithm] : algorithm_options) {
      if (option->count() == 0 || algorithm == options->algorithm) continue;
      throw cli::ValidationError(
          option->get_name(), absl::StrCat("applies to --algorithm ", algorithm,
                                           ", found ", options->algorithm));
    }
    *action = [=] { return RunTune(*options); };
  });
}

}  // namespace lmserve
