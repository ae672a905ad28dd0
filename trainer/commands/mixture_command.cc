// SPDX-License-Identifier: Apache-2.0
//
// lm_trainer mixture: publishes a mixture of models, with weights that are
// fitted to a held-out text.

#include <iostream>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "model_store/loaded_version.h"
#include "model_store/manifest.h"
#include "model_store/model_name.h"
#include "model_store/publish.h"
#include "models/mixture/mixture_file.h"
#include "models/model_factory.h"
#include "trainer/commands/command.h"
#include "trainer/commands/common_options.h"
#include "trainer/commands/member_version.h"
#include "trainer/commands/member_weights.h"
#include "trainer/evaluation/evaluate.h"
#include "trainer/text/corpus.h"
#include "trainer/text/finite_or_null.h"
#include "trainer/text/sentences.h"
#include "trainer/text/status_line.h"

namespace lmserve {
namespace {

struct MixtureOptions {
  ModelOptions target;
  MemberOptions members;
  std::string corpus;
  TextRules rules;
  bool stream = false;
  bool json = false;
};

absl::StatusOr<std::vector<ModelHandle>> LoadMembers(
    const MixtureOptions& options) {
  std::vector<ModelHandle> members;
  for (const std::string& spec : options.members.members) {
    absl::StatusOr<ModelHandle> handle = LoadMember(options.target.store, spec);
    if (!handle.ok()) return handle.status();
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

MixtureResult Assess(const MixtureOptions& options,
                     absl::Span<const ModelHandle> members,
                     const ScoredText& text) {
  std::vector<std::string> names;
  for (const ModelHandle& member : members) names.push_back(FullName(*member));
  return AssessMixture(options.members, std::move(names), text,
                       members[0]->model().vocabulary().unknown());
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
    AddMemberFiles(m, *members[m], &version);
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

void PrintText(const MixtureResult& result, const std::string& version) {
  PrintMixture(result);
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

}  // namespace

void AddMixtureCommand(cli::App& app, CommandAction* action) {
  auto options = std::make_shared<MixtureOptions>();
  cli::App& command = *app.add_subcommand(
      "mixture",
      "Mix models that share a vocabulary, with weights that are fitted to a "
      "held-out text, and publish the mixture as a new version.\n"
      "  lm_trainer mixture --members en,news@2 --corpus valid.xz "
      "--store store --model mixed");
  AddMemberOptions(command, "each NAME, NAME@VERSION or NAME@ALIAS",
                   &options->members);
  AddCorpusOptions(command, "Held-out text", &options->corpus, &options->rules);
  command.add_flag("--stream", options->stream,
                   "Score the text as one stream: keep the models' states from "
                   "one sentence to the next, and count a blank line as an "
                   "empty sentence");
  command.add_flag("--json", options->json, "Print the result as JSON");
  AddTargetOptions(command, &options->target);
  command.callback([=] {
    CheckMembers(options->members);
    *action = [=] { return MakeMixture(*options); };
  });
}

}  // namespace lmserve
