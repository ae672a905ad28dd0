// lm_trainer mixture: weighs versions of a store by a held-out text, publishes
// their mixture.

#include <algorithm>
#include <cmath>
#include <iostream>
#include <memory>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "model_store/loaded_version.h"
#include "model_store/manifest.h"
#include "model_store/model_name.h"
#include "model_store/publish.h"
#include "models/mixture/mixture_file.h"
#include "models/mixture/mixture_kernel.h"
#include "models/model_factory.h"
#include "trainer/commands/command.h"
#include "trainer/evaluation/evaluate.h"
#include "trainer/evaluation/mixture_weights.h"
#include "trainer/text/corpus.h"
#include "trainer/text/sentences.h"

namespace lmserve {
namespace {

struct Options {
  ModelOptions target;
  std::vector<std::string> members;
  std::string corpus;
  bool stream = false;
  std::vector<double> weights;  // empty: fit them
  FitOptions fit;
  bool json = false;
};

// A text, and ln P of each of its words under each member.
struct HeldOut {
  std::vector<WordId> words;
  std::vector<std::vector<float>> log_probs;  // (member, word)
};

// What comes of it.
struct Outcome {
  std::vector<std::string> names;   // of the members, NAME@VERSION
  std::vector<Evaluation> members;  // each alone
  MixtureFit fit;
  Evaluation mixture;
};

void Note(absl::string_view text) { std::cerr << text << std::endl; }

std::string NameOf(const LoadedVersion& loaded) {
  return VersionName(loaded.name(), loaded.version());
}

absl::StatusOr<std::vector<ModelHandle>> LoadMembers(const Options& options) {
  std::vector<ModelHandle> members;
  for (const std::string& spec : options.members) {
    absl::StatusOr<ModelHandle> handle = LoadNamed(options.target.store, spec);
    if (!handle.ok()) return handle.status();
    if ((*handle)->model().kind() != ModelKind::kLeftToRight) {
      return absl::InvalidArgumentError(absl::StrCat(
          "member ", NameOf(**handle), ": expected a model that reads from ",
          "left to right, found a bidirectional one"));
    }
    members.push_back(*std::move(handle));
    const LoadedVersion &first = *members.front(), &last = *members.back();
    const absl::Status same =
        CheckSameWords(first.model().vocabulary(), last.model().vocabulary());
    if (!same.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("member ", NameOf(last), " has other words than ",
                       NameOf(first), ": ", same.message()));
    }
  }
  return members;
}

absl::StatusOr<HeldOut> ScoreText(const Options& options,
                                  absl::Span<const ModelHandle> members) {
  absl::StatusOr<std::unique_ptr<LineReader>> lines =
      LineReader::Open(options.corpus);
  if (!lines.ok()) return lines.status();
  Progress progress("scoring", /*quiet=*/options.json);
  const TextForm form =
      options.stream ? TextForm::kStream : TextForm::kSentences;
  SentenceReader reader(members[0]->model().vocabulary(), **lines, form,
                        progress);
  std::vector<TextScorer> scorers;
  for (const ModelHandle& member : members) {
    scorers.emplace_back(*member->model().left_to_right(), form);
  }
  SentenceBatch batch;
  HeldOut text;
  text.log_probs.resize(members.size());
  while (reader.Next(&batch)) {
    text.words.insert(text.words.end(), batch.words.begin(), batch.words.end());
    for (size_t m = 0; m < members.size(); ++m) {
      const std::vector<float> scores = scorers[m].Score(batch);
      text.log_probs[m].insert(text.log_probs[m].end(), scores.begin(),
                               scores.end());
    }
  }
  if (!reader.status().ok()) return reader.status();
  return text;
}

// The weights that were asked for, scaled to the sum 1; or those that fit best.
MixtureFit Weigh(const Options& options, const HeldOut& text) {
  if (options.weights.empty()) {
    return FitMixtureWeights(text.log_probs, options.fit);
  }
  MixtureFit fixed;
  fixed.weights = options.weights;
  const double sum =
      std::accumulate(fixed.weights.begin(), fixed.weights.end(), 0.0);
  for (double& weight : fixed.weights) weight /= sum;
  return fixed;
}

// ln P of each word under the mixture.
std::vector<float> MixText(const HeldOut& text,
                           absl::Span<const double> weights) {
  std::vector<float> mixed;
  for (const std::vector<float>& member : text.log_probs) {
    mixed.insert(mixed.end(), member.begin(), member.end());
  }
  MixLogProbs(weights, mixed.data(), text.words.size(), mixed.data());
  mixed.resize(text.words.size());
  return mixed;
}

Outcome Assess(const Options& options, absl::Span<const ModelHandle> members,
               const HeldOut& text) {
  const WordId unknown = members[0]->model().vocabulary().unknown();
  Outcome outcome;
  for (size_t m = 0; m < members.size(); ++m) {
    outcome.names.push_back(NameOf(*members[m]));
    outcome.members.emplace_back().Add(text.words, text.log_probs[m], unknown);
  }
  outcome.fit = Weigh(options, text);
  outcome.mixture.Add(text.words, MixText(text, outcome.fit.weights), unknown);
  return outcome;
}

std::map<std::string, std::string> Properties(const Outcome& outcome) {
  std::map<std::string, std::string> properties = {
      {"members", absl::StrJoin(outcome.names, " ")},
      {"weights", absl::StrJoin(outcome.fit.weights, " ")},
      {"tokens", absl::StrCat(outcome.mixture.tokens)},
      {"perplexity", absl::StrCat(outcome.mixture.Perplexity())},
  };
  if (outcome.fit.iterations > 0) {
    properties["iterations"] = absl::StrCat(outcome.fit.iterations);
  }
  return properties;
}

absl::StatusOr<uint64_t> PublishMixture(const Options& options,
                                        absl::Span<const ModelHandle> members,
                                        const Outcome& outcome,
                                        const HeldOut& text) {
  const Vocabulary& vocabulary = members[0]->model().vocabulary();
  NewVersion version;
  version.family = std::string(kMixtureFamily);
  version.properties = Properties(outcome);
  version.self_test = FirstSentences(vocabulary, text.words);
  version.files[std::string(kVocabularyFile)] = vocabulary.text();
  std::vector<MixtureEntry> entries;
  for (size_t m = 0; m < members.size(); ++m) {
    entries.push_back({members[m]->manifest().family(), outcome.fit.weights[m],
                       outcome.names[m]});
    for (const auto& [name, bytes] : members[m]->files()) {
      if (name == kVocabularyFile || name == kSelfTestFile) continue;
      version.files[MemberFileName(m, name)] = bytes;
    }
  }
  const std::string json = MakeMixtureFile(entries);
  version.files[std::string(kMixtureFile)] = json;
  return Publish(options.target.store, options.target.model, version);
}

nlohmann::ordered_json ToJson(const Evaluation& result) {
  return {{"perplexity", JsonNumber(result.Perplexity())},
          {"perplexity_excluding_oov",
           JsonNumber(result.PerplexityExcludingOov())}};
}

void PrintJson(const Outcome& outcome, const std::string& version) {
  nlohmann::ordered_json json = {{"model", version},
                                 {"tokens", outcome.mixture.tokens},
                                 {"oov", outcome.mixture.oov},
                                 {"iterations", outcome.fit.iterations}};
  json.update(ToJson(outcome.mixture));
  for (size_t m = 0; m < outcome.names.size(); ++m) {
    nlohmann::ordered_json member = {{"name", outcome.names[m]},
                                     {"weight", outcome.fit.weights[m]}};
    member.update(ToJson(outcome.members[m]));
    json["members"].push_back(std::move(member));
  }
  std::cout << json.dump() << std::endl;
}

void PrintRow(const std::string& name, double weight,
              const Evaluation& result) {
  Note(absl::StrFormat("%-20s %8.6f %12.4f %12.4f", name, weight,
                       result.Perplexity(), result.PerplexityExcludingOov()));
}

void PrintText(const Outcome& outcome, const std::string& version) {
  Note(absl::StrFormat("%d iterations over %d tokens, %d unknown",
                       outcome.fit.iterations, outcome.mixture.tokens,
                       outcome.mixture.oov));
  Note(absl::StrFormat("%-20s %8s %12s %12s", "", "weight", "perplexity",
                       "without oov"));
  for (size_t m = 0; m < outcome.names.size(); ++m) {
    PrintRow(outcome.names[m], outcome.fit.weights[m], outcome.members[m]);
  }
  PrintRow("mixture", 1, outcome.mixture);
  std::cout << version << std::endl;
}

absl::Status MakeMixture(const Options& options) {
  absl::Status status = CheckModelName(options.target.model);
  if (!status.ok()) return status;
  const absl::StatusOr<std::vector<ModelHandle>> members = LoadMembers(options);
  if (!members.ok()) return members.status();
  const absl::StatusOr<HeldOut> text = ScoreText(options, *members);
  if (!text.ok()) return text.status();
  const Outcome outcome = Assess(options, *members, *text);
  const absl::StatusOr<uint64_t> number =
      PublishMixture(options, *members, outcome, *text);
  if (!number.ok()) return number.status();
  const std::string version = VersionName(options.target.model, *number);
  options.json ? PrintJson(outcome, version) : PrintText(outcome, version);
  return absl::OkStatus();
}

// Throws what CLI11 takes for wrong use.
void CheckUse(const Options& options) {
  const size_t members = options.members.size();
  if (members < 2) {
    throw CLI::ValidationError("--members", "expected 2 or more, found 1");
  }
  if (options.weights.empty()) return;
  if (options.weights.size() != members) {
    throw CLI::ValidationError(
        "--weights", absl::StrCat("expected one a member, ", members,
                                  ", found ", options.weights.size()));
  }
  const double sum =
      std::accumulate(options.weights.begin(), options.weights.end(), 0.0);
  if (!(std::abs(sum - 1) <= 1e-6)) {
    throw CLI::ValidationError("--weights",
                               absl::StrCat("expected the sum 1, found ", sum));
  }
}

}  // namespace

void AddMixtureCommand(CLI::App& app, Work* work) {
  auto options = std::make_shared<Options>();
  CLI::App& command = *app.add_subcommand(
      "mixture",
      "Mix models of one vocabulary, weighed by a held-out text, and publish\n"
      "the mixture as the next version.\n"
      "  lm_trainer mixture --members en,news@2 --corpus valid.xz "
      "--store store --model mixed");
  command
      .add_option("--members,--member", options->members,
                  "Models to mix: NAME, NAME@VERSION or NAME@ALIAS, parted by "
                  "commas; or the option again for each")
      ->delimiter(',')
      ->required();
  command
      .add_option("--corpus", options->corpus,
                  "Held-out text, a sentence a line: plain, .gz, .xz, or - for "
                  "the standard input")
      ->required();
  command.add_flag("--stream", options->stream,
                   "Let the models' states go on over the ends of sentences, "
                   "and count blank lines as empty ones");
  CLI::Option* weights =
      command
          .add_option("--weights", options->weights,
                      "Take these, parted by commas, instead of fitting them "
                      "to the text")
          ->delimiter(',')
          ->check(CLI::Range(0.0, 1.0));
  command
      .add_option("--iterations", options->fit.iterations,
                  "Steps of the fit at the most")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str()
      ->excludes(weights);
  command.add_flag("--json", options->json, "Print a JSON object");
  AddModelOptions(command, "to publish", &options->target);
  command.callback([=] {
    CheckUse(*options);
    *work = [=] { return MakeMixture(*options); };
  });
}

}  // namespace lmserve
