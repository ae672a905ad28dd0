// lm_trainer evaluate-nbest and tune: what choosing from an n-best list is
// worth, and by which weights.

#include <iostream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "models/text.h"
#include "reranking/metric.h"
#include "trainer/command.h"
#include "trainer/mert.h"
#include "trainer/mira.h"
#include "trainer/nbest_evaluation.h"
#include "trainer/nbest_features.h"
#include "trainer/nbest_lists.h"

namespace lmserve {
namespace {

// What both commands read.
struct InputOptions {
  std::string nbest;
  std::vector<std::string> references;
  std::string tokenizer = "13a";
  std::vector<std::string> weights;
  int64_t first_id = 0;
};

struct EvaluateOptions {
  InputOptions input;
  std::vector<std::string> metrics = {"bleu", "chrf", "wer"};
  size_t samples = 1000;
  uint64_t seed = 1;
  bool json = false;
};

struct TuneOptions {
  InputOptions input;
  std::string metric = "bleu";
  std::string algorithm = "mert";
  uint64_t seed = 1;
  MertOptions mert;
  MiraOptions mira;
};

struct Input {
  NbestLists lists;
  std::vector<std::vector<std::string>> references;
  std::vector<double> weights;  // one of each feature
};

// Takes NAME=NUMBER apart.
absl::Status AddWeight(absl::string_view text,
                       std::map<std::string, double>* weights) {
  const size_t equals = text.rfind('=');
  double value;
  if (equals == absl::string_view::npos || equals == 0 ||
      !absl::SimpleAtod(text.substr(equals + 1), &value)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--weights: expected NAME=NUMBER, found '", text, "'"));
  }
  (*weights)[std::string(text.substr(0, equals))] = value;
  return absl::OkStatus();
}

// One of each feature; of those that are not named 0.
absl::StatusOr<std::vector<double>> ParseWeights(
    const std::vector<std::string>& texts,
    const std::vector<std::string>& feature_names) {
  std::map<std::string, double> weights;
  for (const std::string& text : texts) {
    for (absl::string_view weight : SplitWords(text)) {
      absl::Status status = AddWeight(weight, &weights);
      if (!status.ok()) return status;
    }
  }
  std::vector<double> parsed;
  for (const std::string& name : feature_names) {
    const auto found = weights.extract(name);
    parsed.push_back(found ? found.mapped() : 0);
  }
  if (weights.empty()) return parsed;
  return absl::InvalidArgumentError(
      absl::StrCat("--weights: no feature '", weights.begin()->first,
                   "'; there are: ", absl::StrJoin(feature_names, " ")));
}

absl::StatusOr<Input> Read(const InputOptions& options) {
  auto reader = LineReader::Open(options.nbest);
  if (!reader.ok()) return reader.status();
  absl::StatusOr<NbestLists> lists = ReadNbestLists(**reader);
  if (!lists.ok()) return lists.status();
  auto references =
      ReadReferences(*lists, options.references, options.first_id);
  if (!references.ok()) return references.status();
  auto weights = ParseWeights(options.weights, lists->feature_names);
  if (!weights.ok()) return weights.status();
  std::cerr << lists->lists.size() << " lists, " << lists->candidates()
            << " candidates\n";
  return Input{*std::move(lists), *std::move(references), *std::move(weights)};
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
        {"score", JsonNumber(row.score)},
        {"mean", JsonNumber(row.mean)},
        {"interval", JsonNumber(row.interval)},
        {"p_value", row.p_value}};
    std::cout << json.dump() << "\n";
  }
}

absl::Status RunEvaluate(const EvaluateOptions& options) {
  const absl::StatusOr<Input> input = Read(options.input);
  if (!input.ok()) return input.status();
  const NbestLists& lists = input->lists;
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
    choices.emplace_back("oracle", ChooseOracle(counts));
    const std::vector<NbestRow> rows =
        CompareChoices(counts, choices, options.samples, options.seed);
    options.json ? PrintJson(**metric, reference_count, rows)
                 : PrintText(**metric, reference_count, rows);
  }
  return absl::OkStatus();
}

void WarnOfUnidentifiable(const NbestLists& lists) {
  const std::vector<bool> identifiable = FindIdentifiable(lists);
  for (size_t f = 0; f < identifiable.size(); ++f) {
    if (identifiable[f]) continue;
    std::cerr << "warning: the weight of " << lists.feature_names[f]
              << " cannot be told: within each list it is the same all over, "
                 "or follows from the features before it\n";
  }
}

std::vector<double> Tune(const Input& input, const NbestCounts& counts,
                         TuneOptions options) {
  options.mert.seed = options.mira.seed = options.seed;
  return options.algorithm == "mira"
             ? TuneByMira(input.lists, counts, input.weights, options.mira)
             : TuneByMert(input.lists, counts, input.weights, options.mert);
}

absl::Status RunTune(const TuneOptions& options) {
  const absl::StatusOr<Input> input = Read(options.input);
  if (!input.ok()) return input.status();
  const NbestLists& lists = input->lists;
  const auto metric = MakeMetric(options.metric, options.input.tokenizer);
  if (!metric.ok()) return metric.status();
  WarnOfUnidentifiable(lists);
  const NbestCounts counts(lists, input->references, **metric);
  const std::vector<double> tuned = Tune(*input, counts, options);
  const auto score = [&](const NbestChoice& choice) {
    return absl::StrFormat("%.2f", counts.Score(choice));
  };
  std::cerr << (*metric)->name() << ": first " << score(ChooseFirst(lists))
            << ", tuned " << score(ChooseWeighted(lists, tuned)) << ", oracle "
            << score(ChooseOracle(counts)) << "\n";
  std::vector<std::string> weights;
  for (size_t f = 0; f < tuned.size(); ++f) {
    if (tuned[f] == 0) continue;
    weights.push_back(
        absl::StrFormat("%s=%.9g", lists.feature_names[f], tuned[f]));
  }
  std::cout << absl::StrJoin(weights, " ") << std::endl;
  return absl::OkStatus();
}

void AddInputOptions(CLI::App& command, absl::string_view weights,
                     InputOptions* options) {
  command
      .add_option(
          "--nbest", options->nbest,
          "The list, as Moses or Marian write it: plain, .gz, .xz, or - "
          "for the standard input")
      ->required();
  command
      .add_option("--reference", options->references,
                  "A reference a line; several files for several references")
      ->required();
  command
      .add_option("--tokenizer", options->tokenizer,
                  "Of BLEU and WER: 13a, or none where the texts are tokenised")
      ->check(CLI::IsMember({"13a", "none"}))
      ->capture_default_str();
  command.add_option("--weights", options->weights, std::string(weights));
  command
      .add_option("--first-id", options->first_id,
                  "The id of the first line of the references")
      ->capture_default_str();
}

// An option that goes with one algorithm alone.
struct AlgorithmOption {
  const CLI::Option* option;
  std::string algorithm;
};

std::vector<AlgorithmOption> AddAlgorithmOptions(CLI::App& command,
                                                 TuneOptions* options) {
  command
      .add_option("--algorithm", options->algorithm,
                  "mert: minimum error rate training, an exact search for few "
                  "features; mira: k-best batch MIRA, for many")
      ->check(CLI::IsMember({"mert", "mira"}))
      ->capture_default_str();
  CLI::Option* restarts =
      command
          .add_option("--restarts", options->mert.restarts,
                      "Of mert: searches from weights drawn at random, besides")
          ->check(CLI::Range(0, 10'000))
          ->capture_default_str();
  CLI::Option* epochs = command
                            .add_option("--epochs", options->mira.epochs,
                                        "Of mira: passes over the lists")
                            ->check(CLI::Range(1, 100'000))
                            ->capture_default_str();
  CLI::Option* c =
      command
          .add_option("--c", options->mira.c,
                      "Of mira: how far one list moves the weights at most")
          ->check(CLI::PositiveNumber)
          ->capture_default_str();
  return {{restarts, "mert"}, {epochs, "mira"}, {c, "mira"}};
}

}  // namespace

void AddEvaluateNbestCommand(CLI::App& app, Work* work) {
  auto options = std::make_shared<EvaluateOptions>();
  CLI::App& command = *app.add_subcommand(
      "evaluate-nbest",
      "Tell what the candidates of an n-best list are worth: the first of each "
      "list, one at random, the best by some weights, the best there is; with "
      "95 % intervals and the p-value of the difference to the first, by "
      "paired "
      "bootstrap.\n"
      "  lm_trainer evaluate-nbest --nbest test.nbest --reference test.en "
      "--weights 'lm=0.5 tm[0]=1'");
  AddInputOptions(command, "NAME=NUMBER of features of the list; others have 0",
                  &options->input);
  command
      .add_option("--metric", options->metrics, "bleu, chrf or wer; several")
      ->check(CLI::IsMember({"bleu", "chrf", "wer"}))
      ->capture_default_str();
  command.add_option("--samples", options->samples, "Samples of the bootstrap")
      ->check(CLI::Range(40, 1'000'000))
      ->capture_default_str();
  command.add_option("--seed", options->seed, "Of what is drawn at random")
      ->capture_default_str();
  command.add_flag("--json", options->json, "Print a JSON object a row");
  command.callback([=] { *work = [=] { return RunEvaluate(*options); }; });
}

void AddTuneCommand(CLI::App& app, Work* work) {
  auto options = std::make_shared<TuneOptions>();
  CLI::App& command = *app.add_subcommand(
      "tune",
      "Find the weights of an n-best list's features by which its best "
      "candidates are best in a metric, and print them.\n"
      "  lm_trainer tune --nbest dev.nbest --reference dev.en --metric bleu\n"
      "  lm_trainer tune --algorithm mira --nbest dev.nbest --reference "
      "dev.en");
  AddInputOptions(command, "NAME=NUMBER to start from; else 0",
                  &options->input);
  command.add_option("--metric", options->metric, "bleu, chrf or wer")
      ->check(CLI::IsMember({"bleu", "chrf", "wer"}))
      ->capture_default_str();
  const std::vector<AlgorithmOption> of_algorithms =
      AddAlgorithmOptions(command, options.get());
  command.add_option("--seed", options->seed, "Of what is drawn at random")
      ->capture_default_str();
  command.callback([=] {
    for (const auto& [option, algorithm] : of_algorithms) {
      if (option->count() == 0 || algorithm == options->algorithm) continue;
      throw CLI::ValidationError(
          option->get_name(),
          absl::StrCat("is of ", algorithm, ", not of ", options->algorithm));
    }
    *work = [=] { return RunTune(*options); };
  });
}

}  // namespace lmserve
