// SPDX-License-Identifier: Apache-2.0
//
// lm_trainer tune: finds feature weights that choose good candidates from
// n-best lists.

#include <algorithm>
#include <iostream>
#include <map>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "reranking/bayes_risk.h"
#include "reranking/metric.h"
#include "trainer/commands/command.h"
#include "trainer/commands/common_options.h"
#include "trainer/commands/nbest_input.h"
#include "trainer/commands/publish_reranker.h"
#include "trainer/commands/reranker_members.h"
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
  std::vector<std::string> names;
  for (size_t f = 0; f < identifiable.size(); ++f) {
    if (!identifiable[f]) names.push_back(lists.feature_names[f]);
  }
  if (names.empty()) return;
  PrintMessage(absl::StrCat(
      "warning: the lists do not determine the weights of ",
      absl::StrJoin(names, " "),
      ": within each list, such a feature is the same for all candidates or a "
      "linear combination of the features before it"));
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

std::string JoinModels(
    const google::protobuf::RepeatedPtrField<lm::v1::RerankerMember>& members) {
  return absl::StrJoin(
      members, " ", [](std::string* out, const lm::v1::RerankerMember& member) {
        absl::StrAppend(out, member.model());
      });
}

// Prints what the server computes and what clients must send.
void Describe(const lm::v1::Reranker& reranker) {
  PrintMessage(absl::StrCat("the server will compute the features of ",
                            JoinModels(reranker.members()),
                            ", with the normalization ",
                            NormalizationName(reranker)));
  const std::vector<std::string> own = OwnFeatures(reranker);
  if (own.empty()) return;
  PrintMessage(
      absl::StrCat("clients must send the features ", absl::StrJoin(own, " ")));
}

absl::Status Publish(const RerankerOptions& options, lm::v1::Reranker reranker,
                     const NbestLists& lists, absl::Span<const double> tuned,
                     const std::map<std::string, std::string>& properties) {
  std::vector<std::string> left_out;
  absl::Status status =
      SetWeights(lists.feature_names, tuned, &reranker, &left_out);
  if (!status.ok()) return status;
  for (const std::string& member : left_out) {
    PrintMessage(absl::StrCat("left out ", member, ": its weights are 0"));
  }
  Describe(reranker);
  const absl::StatusOr<uint64_t> version =
      PublishReranker(options, reranker, properties);
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

// The scores of the choices from the lists that the weights were tuned on, in
// the order in which they are printed: first, tuned, min risk (if the reranker
// is to choose so) and oracle.
using Scores = std::vector<std::pair<std::string, double>>;

absl::StatusOr<Scores> ScoreChoices(const RerankerOptions& options,
                                    const NbestLists& lists,
                                    const NbestCounts& counts,
                                    absl::Span<const double> tuned) {
  Scores scores = {{"first", counts.Score(ChooseFirst(lists))},
                   {"tuned", counts.Score(ChooseWeighted(lists, tuned))}};
  if (!options.utility.empty()) {
    const absl::StatusOr<Utility> utility = ParseUtility(options.utility);
    if (!utility.ok()) return utility.status();
    scores.emplace_back(
        "min risk",
        counts.Score(ChooseMinimumRisk(lists, tuned, options.scale, *utility)));
  }
  scores.emplace_back("oracle", counts.Score(ChooseOracle(counts)));
  return scores;
}

// Prints the scores, and warns of choices that are worse than the first one.
void ReportScores(const Metric& metric, const Scores& scores) {
  PrintMessage(absl::StrCat(
      metric.name(), ": ",
      absl::StrJoin(scores, ", ", [](std::string* out, const auto& score) {
        absl::StrAppendFormat(out, "%s %.2f", score.first, score.second);
      })));
  for (const auto& [name, score] : scores) {
    if (!metric.IsBetter(scores[0].second, score)) continue;
    PrintMessage(absl::StrCat("warning: the choice ", name,
                              " is worse than the order of the lists, first"));
  }
}

std::map<std::string, std::string> Properties(const TuneOptions& options,
                                              const NbestLists& lists,
                                              const Metric& metric,
                                              const Scores& scores) {
  std::map<std::string, std::string> properties = {
      {"tuned_for", absl::StrCat(metric.name(), " ",
                                 metric.signature(static_cast<int>(
                                     options.input.references.size())))},
      {"tuned_by", options.algorithm},
      {"lists", absl::StrCat(lists.lists.size())},
      {"candidates", absl::StrCat(lists.candidates())}};
  for (const auto& [name, score] : scores) {
    properties[absl::StrReplaceAll(name, {{" ", "_"}})] =
        absl::StrFormat("%.2f", score);
  }
  return properties;
}

absl::Status RunTune(const TuneOptions& options) {
  absl::StatusOr<lm::v1::Reranker> reranker = StartReranker(options.reranker);
  if (!reranker.ok()) return reranker.status();
  const absl::StatusOr<NbestInput> input = ReadNbestInput(options.input);
  if (!input.ok()) return input.status();
  const NbestLists& lists = input->lists;
  absl::Status status = CheckMembers(options.reranker.store, *reranker, lists);
  if (!status.ok()) return status;
  const auto metric = MakeMetric(options.metric, options.input.tokenizer);
  if (!metric.ok()) return metric.status();
  WarnAboutUnidentifiable(lists);
  const NbestCounts counts(lists, input->references, **metric);
  const std::vector<double> tuned = Tune(*input, counts, options);
  const auto scores = ScoreChoices(options.reranker, lists, counts, tuned);
  if (!scores.ok()) return scores.status();
  ReportScores(**metric, *scores);
  if (std::all_of(tuned.begin(), tuned.end(),
                  [](double weight) { return weight == 0; })) {
    return absl::FailedPreconditionError(
        "expected weights that choose better than the order of the lists, "
        "found none; give the weights to start from, such as those of your "
        "decoder, with --weights");
  }
  PrintWeights(lists, tuned);
  if (options.reranker.model.empty()) return absl::OkStatus();
  return Publish(options.reranker, *std::move(reranker), lists, tuned,
                 Properties(options, lists, **metric, *scores));
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
