// SPDX-License-Identifier: Apache-2.0
//
// lm_trainer mixture: publishes a mixture of models, with weights that are
// fitted to a held-out text.

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
#include "trainer/commands/common_options.h"
#include "trainer/commands/load_version.h"
#include "trainer/evaluation/evaluate.h"
#include "trainer/evaluation/mixture_weights.h"
#include "trainer/text/corpus.h"
#include "trainer/text/finite_or_null.h"
#include "trainer/text/sentences.h"
#include "trainer/text/status_line.h"

namespace lmserve {
namespace {

struct MixtureOptions {
  ModelOptions target;
  std::vector<std::string> members;
  std::string corpus;
  TextRules rules;
  bool stream = false;
  std::vector<double> weights;  // empty: fit them
  FitOptions fit;
  bool json = false;
};

// A text and ln P of each of its words under each member.
struct ScoredText {
  std::vector<WordId> words;
  std::vector<std::vector<float>> log_probs;  // (member, word)
};

struct MixtureResult {
  std::vector<std::string> names;   // of the members, as NAME@VERSION
  std::vector<Evaluation> members;  // of each member alone
  MixtureFit fit;
  Evaluation mixture;
};

std::string FullName(const LoadedVersion& loaded) {
  return VersionName(loaded.name(), loaded.version());
}

absl::StatusOr<std::vector<ModelHandle>> LoadMembers(
    const MixtureOptions& options) {
  std::vector<ModelHandle> members;
  for (const std::string& spec : options.members) {
    absl::StatusOr<ModelHandle> handle =
        LoadModelVersion(options.target.store, spec);
    if (!handle.ok()) return handle.status();
    if ((*handle)->model().kind() != ModelKind::kLeftToRight) {
      return absl::InvalidArgumentError(absl::StrCat(
          "member ", FullName(**handle), ": expected a model that predicts ",
          "words from left to right, found the family ",
          (*handle)->manifest().family()));
    }
    members.push_back(*std::move(handle));
    const LoadedVersion &first = *members.front(), &last = *members.back();
    const absl::Status same =
        CheckSameWords(first.model().vocabulary(), last.model().vocabulary());
    if (!same.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("member ", FullName(last), ": expected the vocabulary ",
                       "of ", FullName(first), ": ", same.message()));
    }
  }
  return members;
}

absl::StatusOr<ScoredText> ScoreText(const MixtureOptions& options,
                                     absl::Span<const ModelHandle> members) {
  absl::StatusOr<std::unique_ptr<LineReader>> lines =
      LineReader::Open(options.corpus);
  if (!lines.ok()) return lines.status();
  Progress progress("scoring", /*quiet=*/options.json);
  const TextForm form =
      options.stream ? TextForm::kStream : TextForm::kSentences;
  TextRules rules = options.rules;
  rules.form = form;
  SentenceReader reader(members[0]->model().vocabulary(), **lines, rules,
                        progress);
  std::vector<TextScorer> scorers;
  for (const ModelHandle& member : members) {
    scorers.emplace_back(*member->model().left_to_right(), form);
  }
  SentenceBatch batch;
  ScoredText text;
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

// Returns the weights of --weights, scaled to the sum 1, or fits weights to the
// text if there are none.
MixtureFit FindWeights(const MixtureOptions& options, const ScoredText& text) {
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

// Returns ln P of each word under the mixture.
std::vector<float> MixText(const ScoredText& text,
                           absl::Span<const double> weights) {
  std::vector<float> mixed;
  for (const std::vector<float>& member : text.log_probs) {
    mixed.insert(mixed.end(), member.begin(), member.end());
  }
  MixLogProbs(weights, mixed.data(), text.words.size(), mixed.data());
  mixed.resize(text.words.size());
  return mixed;
}

MixtureResult Assess(const MixtureOptions& options,
                     absl::Span<const ModelHandle> members,
                     const ScoredText& text) {
  const WordId unknown = members[0]->model().vocabulary().unknown();
  MixtureResult result;
  for (size_t m = 0; m < members.size(); ++m) {
    result.names.push_back(FullName(*members[m]));
    result.members.emplace_back().Add(text.words, text.log_probs[m], unknown);
  }
  result.fit = FindWeights(options, text);
  result.mixture.Add(text.words, MixText(text, result.fit.weights), unknown);
  return result;
}

std::map<std::string, std::string> Properties(const MixtureResult& result) {
  std::map<std::string, std::string> properties = {
      {"members", absl::StrJoin(result.names, " ")},
      {"weights", absl::StrJoin(result.fit.weights, " ")},
      {"tokens", absl::StrCat(result.mixture.tokens)},
      {"perplexity", absl::StrCat(result.mixture.Perplexity())},
  };
  if (result.fit.iterations > 0) {
    properties["iterations"] = absl::StrCat(result.fit.iterations);
  }
  return properties;
}

absl::StatusOr<uint64_t> PublishMixture(const MixtureOptions& options,
                                        absl::Span<const ModelHandle> members,
                                        const MixtureResult& result,
                                        const ScoredText& text) {
  const Vocabulary& vocabulary = members[0]->model().vocabulary();
  NewVersion version;
  version.family = std::string(kMixtureFamily);
  version.properties = Properties(result);
  version.self_test = FirstSentences(vocabulary, text.words);
  version.files[std::string(kVocabularyFile)] = vocabulary.text();
  std::vector<MixtureEntry> entries;
  for (size_t m = 0; m < members.size(); ++m) {
    entries.push_back({members[m]->manifest().family(), result.fit.weights[m],
                       result.names[m]});
    for (const auto& [name, bytes] : members[m]->files()) {
      if (name == kVocabularyFile || name == kSelfTestFile) continue;
      version.files[MemberFileName(m, name)] = bytes;
    }
  }
  const std::string json = MakeMixtureFile(entries);
  version.files[std::string(kMixtureFile)] = json;
  return Publish(options.target.store, options.target.model, version);
}

nlohmann::ordered_json ToJson(const Evaluation& evaluation) {
  return {{"perplexity", FiniteOrNull(evaluation.Perplexity())},
          {"perplexity_excluding_oov",
           FiniteOrNull(evaluation.PerplexityExcludingOov())}};
}

void PrintJson(const MixtureResult& result, const std::string& version) {
  nlohmann::ordered_json json = {{"model", version},
                                 {"tokens", result.mixture.tokens},
                                 {"oov", result.mixture.oov},
                                 {"iterations", result.fit.iterations}};
  json.update(ToJson(result.mixture));
  for (size_t m = 0; m < result.names.size(); ++m) {
    nlohmann::ordered_json member = {{"name", result.names[m]},
                                     {"weight", result.fit.weights[m]}};
    member.update(ToJson(result.members[m]));
    json["members"].push_back(std::move(member));
  }
  std::cout << json.dump() << std::endl;
}

void PrintRow(const std::string& name, double weight,
              const Evaluation& result) {
  PrintMessage(absl::StrFormat("%-20s %8.6f %12.4f %12.4f", name, weight,
                               result.Perplexity(),
                               result.PerplexityExcludingOov()));
}

void PrintText(const MixtureResult& result, const std::string& version) {
  PrintMessage(absl::StrFormat("%d iterations over %d tokens, %d unknown",
                               result.fit.iterations, result.mixture.tokens,
                               result.mixture.oov));
  PrintMessage(absl::StrFormat("%-20s %8s %12s %12s", "", "weight",
                               "perplexity", "without oov"));
  for (size_t m = 0; m < result.names.size(); ++m) {
    PrintRow(result.names[m], result.fit.weights[m], result.members[m]);
  }
  PrintRow("mixture", 1, result.mixture);
  std::cout << version << std::endl;
}

absl::Status MakeMixture(const MixtureOptions& options) {
  absl::Status status =
      CheckCanPublish(options.target.store, options.target.model);
  if (!status.ok()) return status;
  const absl::StatusOr<std::vector<ModelHandle>> members = LoadMembers(options);
  if (!members.ok()) return members.status();
  const absl::StatusOr<ScoredText> text = ScoreText(options, *members);
  if (!text.ok()) return text.status();
  const MixtureResult result = Assess(options, *members, *text);
  const absl::StatusOr<uint64_t> number =
      PublishMixture(options, *members, result, *text);
  if (!number.ok()) return number.status();
  const std::string version = VersionName(options.target.model, *number);
  options.json ? PrintJson(result, version) : PrintText(result, version);
  return absl::OkStatus();
}

// Throws the exception by which CLI11 reports a wrong command line.
void CheckOptions(const MixtureOptions& options) {
  const size_t members = options.members.size();
  if (members < 2) {
    throw cli::ValidationError("--members", "expected 2 or more, found 1");
  }
  if (options.weights.empty()) return;
  if (options.weights.size() != members) {
    throw cli::ValidationError(
        "--weights", absl::StrCat("expected one per member, ", members,
                                  ", found ", options.weights.size()));
  }
  const double sum =
      std::accumulate(options.weights.begin(), options.weights.end(), 0.0);
  if (!(std::abs(sum - 1) <= 1e-6)) {
    throw cli::ValidationError(
        "--weights", absl::StrCat("expected a sum of 1, found ", sum));
  }
}

}  // namespace

void AddMixtureCommand(cli::App& app, CommandAction* action) {
  auto options = std::make_shared<MixtureOptions>();
  cli::App& command = *app.add_subcommand(
      "mixture",
      "Mix models that share a vocabulary, with weights that are fitted to a "
      "held-out text, and publish the mixture as a new version.\n"
      "  lm_trainer mixture --members en,news@2 --corpus valid.xz "
      "--store store --model mixed");
  command
      .add_option("--members,--member", options->members,
                  "Models to mix, separated by commas, each NAME, NAME@VERSION "
                  "or NAME@ALIAS; the option may be repeated")
      ->delimiter(',')
      ->required();
  AddCorpusOptions(command, "Held-out text", &options->corpus, &options->rules);
  command.add_flag("--stream", options->stream,
                   "Score the text as one stream: keep the models' states from "
                   "one sentence to the next, and count a blank line as an "
                   "empty sentence");
  cli::Option* weights =
      command
          .add_option("--weights", options->weights,
                      "Weights of the members, separated by commas, instead of "
                      "fitted ones")
          ->delimiter(',')
          ->check(cli::Range(0.0, 1.0));
  command
      .add_option("--iterations", options->fit.iterations,
                  "Maximum number of iterations of the fit")
      ->check(cli::Range(1, 1'000'000))
      ->capture_default_str()
      ->excludes(weights);
  command.add_flag("--json", options->json, "Print the result as JSON");
  AddTargetOptions(command, &options->target);
  command.callback([=] {
    CheckOptions(*options);
    *action = [=] { return MakeMixture(*options); };
  });
}

}  // namespace lmserve
