// SPDX-License-Identifier: Apache-2.0
//
// lm_trainer cache: publishes a model with caches of the words that it has
// read, whose weights are fitted to a held-out text.

#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "model_store/loaded_version.h"
#include "model_store/model_name.h"
#include "model_store/publish.h"
#include "models/cache/cache_file.h"
#include "models/cache/cache_model.h"
#include "models/model_factory.h"
#include "trainer/commands/command.h"
#include "trainer/commands/common_options.h"
#include "trainer/commands/member_version.h"
#include "trainer/commands/member_weights.h"
#include "trainer/evaluation/cache_choice.h"
#include "trainer/evaluation/evaluate.h"
#include "trainer/text/corpus.h"
#include "trainer/text/finite_or_null.h"
#include "trainer/text/sentences.h"
#include "trainer/text/status_line.h"

namespace lmserve {
namespace {

constexpr absl::string_view kContinuous = "continuous";

struct CacheCommandOptions {
  ModelOptions target;
  std::string member;
  std::string corpus;
  TextRules rules;
  std::vector<std::string> caches;  // "continuous" or an order
  size_t history = 2000;
  std::string keys = "float";
  // Values to try.
  std::vector<double> thetas = {0.02, 0.05, 0.1, 0.15, 0.2, 0.25,
                                0.3,  0.4,  0.5, 0.7,  1};
  std::vector<double> decays = {0.9,   0.95,  0.98,   0.99, 0.995,
                                0.998, 0.999, 0.9995, 1};
  std::vector<double> weights;  // empty: fit them
  FitOptions fit;
  bool stream = false;
  bool json = false;
};

// A fit of candidates need not be as exact as the one that is published.
constexpr FitOptions kChoiceFit = {.iterations = 30, .gain = 1e-6};

// The candidates for each of --caches: caches that differ in theta or decay.
// The numbers in a group are indexes of `caches`.
struct Candidates {
  std::vector<Cache> caches;
  std::vector<std::vector<size_t>> groups;
};

Candidates MakeCandidates(const CacheCommandOptions& options,
                          absl::Span<const std::string> kinds) {
  Candidates candidates;
  for (const std::string& kind : kinds) {
    std::vector<size_t>& group = candidates.groups.emplace_back();
    const bool is_continuous = kind == kContinuous;
    for (double value : is_continuous ? options.thetas : options.decays) {
      Cache cache;
      if (is_continuous) {
        cache.theta = value;
      } else {
        cache.kind = CacheKind::kNgram;
        cache.decay = value;
        // CheckKinds() has checked that it is a number.
        static_cast<void>(absl::SimpleAtoi(kind, &cache.order));
      }
      group.push_back(candidates.caches.size());
      candidates.caches.push_back(cache);
    }
  }
  return candidates;
}

// Describes a cache, such as "theta 0.3" of a continuous one.
std::string Describe(const Cache& cache) {
  return cache.kind == CacheKind::kContinuous
             ? absl::StrCat("theta ", cache.theta)
             : absl::StrCat("order ", cache.order, " decay ", cache.decay);
}

// Reads the text, and keeps ln P of its words under the member and under each
// cache of the model.
absl::StatusOr<ScoredText> ScoreText(const CacheCommandOptions& options,
                                     const CacheModel& model) {
  absl::StatusOr<std::unique_ptr<LineReader>> lines =
      LineReader::Open(options.corpus);
  if (!lines.ok()) return lines.status();
  Progress progress("scoring", /*quiet=*/options.json);
  TextRules rules = options.rules;
  rules.form = options.stream ? TextForm::kStream : TextForm::kSentences;
  SentenceReader reader(model.vocabulary(), **lines, rules, progress);
  TextScorer scorer(model, rules.form);
  SentenceBatch batch;
  ScoredText text;
  text.log_probs.resize(model.parts());
  while (reader.Next(&batch)) {
    const size_t words = batch.words.size();
    std::vector<float> parts(model.parts() * words), unused(words);
    scorer.ScoreBy(
        batch,
        [&](absl::Span<const LanguageModel::Query> queries) {
          model.ScoreParts(queries, parts.data());
        },
        absl::MakeSpan(unused));
    text.words.insert(text.words.end(), batch.words.begin(), batch.words.end());
    for (size_t p = 0; p < model.parts(); ++p) {
      text.log_probs[p].insert(text.log_probs[p].end(),
                               parts.begin() + p * words,
                               parts.begin() + (p + 1) * words);
    }
  }
  if (!reader.status().ok()) return reader.status();
  return text;
}

// A model with caches of the store's vocabulary that is not published.
absl::StatusOr<std::unique_ptr<CacheModel>> MakeModel(
    const LoadedVersion& member, const CacheOptions& options) {
  absl::StatusOr<AnyModel> copy =
      CreateModel(member.manifest().family(), member.files());
  if (!copy.ok()) return copy.status();
  return CacheModel::Create((*std::move(copy)).TakeLeftToRight(), options);
}

// The weights of the member and the caches; empty if they are to be fitted.
std::vector<double> GivenWeights(const CacheCommandOptions& options) {
  if (options.weights.empty()) return {};
  std::vector<double> weights = {1 - absl::c_accumulate(options.weights, 0.0)};
  weights[0] = std::max(0.0, weights[0]);
  weights.insert(weights.end(), options.weights.begin(), options.weights.end());
  return weights;
}

std::map<std::string, std::string> Properties(const CacheOptions& options,
                                              const MixtureResult& result) {
  const auto append = [](std::string* out, const Cache& cache) {
    absl::StrAppend(out, cache.kind == CacheKind::kNgram ? "" : "continuous ",
                    Describe(cache), " weight ", cache.weight);
  };
  return {{"member", result.names[0]},
          {"history", absl::StrCat(options.history)},
          {"keys", std::string(PrecisionName(options.keys))},
          {"caches", absl::StrJoin(options.caches, ", ", append)},
          {"tokens", absl::StrCat(result.mixture.tokens)},
          {"perplexity", absl::StrCat(result.mixture.Perplexity())}};
}

absl::StatusOr<uint64_t> PublishCache(const CacheCommandOptions& options,
                                      const LoadedVersion& member,
                                      const CacheOptions& cache,
                                      const MixtureResult& result,
                                      absl::Span<const WordId> words) {
  const Vocabulary& vocabulary = member.model().vocabulary();
  NewVersion version;
  version.family = std::string(kCacheFamily);
  version.properties = Properties(cache, result);
  version.self_test = FirstSentences(vocabulary, words);
  version.files[std::string(kVocabularyFile)] = vocabulary.text();
  AddMemberFiles(0, member, &version);
  const std::string json =
      MakeCacheFile({member.manifest().family(), result.names[0], cache});
  version.files[std::string(kCacheFile)] = json;
  return Publish(options.target.store, options.target.model, version);
}

void PrintJson(const CacheOptions& options, const MixtureResult& result,
               const std::string& version) {
  nlohmann::ordered_json json = {
      {"model", version},
      {"tokens", result.mixture.tokens},
      {"oov", result.mixture.oov},
      {"perplexity", FiniteOrNull(result.mixture.Perplexity())},
      {"perplexity_excluding_oov",
       FiniteOrNull(result.mixture.PerplexityExcludingOov())},
      {"member",
       {{"name", result.names[0]},
        {"weight", result.fit.weights[0]},
        {"perplexity", FiniteOrNull(result.members[0].Perplexity())}}}};
  for (const Cache& cache : options.caches) {
    nlohmann::ordered_json one;
    if (cache.kind == CacheKind::kContinuous) {
      one = {{"kind", "continuous"}, {"theta", cache.theta}};
    } else {
      one = {{"kind", "ngram"}, {"order", cache.order}, {"decay", cache.decay}};
    }
    one["weight"] = cache.weight;
    json["caches"].push_back(std::move(one));
  }
  std::cout << json.dump() << std::endl;
}

// Returns what --caches asks for; by default the continuous cache if the member
// can have one.
std::vector<std::string> Kinds(const CacheCommandOptions& options,
                               const LoadedVersion& member) {
  if (!options.caches.empty()) return options.caches;
  const bool has_hidden =
      member.model().left_to_right()->hidden_states() != nullptr;
  return {has_hidden ? std::string(kContinuous) : "1"};
}

absl::Status MakeCache(const CacheCommandOptions& options) {
  absl::Status status =
      CheckCanPublish(options.target.store, options.target.model);
  if (!status.ok()) return status;
  const absl::StatusOr<ModelHandle> handle =
      LoadMember(options.target.store, options.member);
  if (!handle.ok()) return handle.status();
  const LoadedVersion& member = **handle;

  CacheOptions cache;
  cache.history = options.history;
  cache.keys = ParsePrecision(options.keys).value();
  const Candidates candidates = MakeCandidates(options, Kinds(options, member));
  cache.caches = candidates.caches;
  const absl::StatusOr<std::unique_ptr<CacheModel>> model =
      MakeModel(member, cache);
  if (!model.ok()) return model.status();
  absl::StatusOr<ScoredText> text = ScoreText(options, **model);
  if (!text.ok()) return text.status();

  std::vector<std::vector<size_t>> groups = candidates.groups;
  for (std::vector<size_t>& group : groups) {
    for (size_t& candidate : group) ++candidate;  // after the member
  }
  MemberOptions weights = {.weights = GivenWeights(options),
                           .fit = options.fit};
  const std::vector<size_t> chosen =
      ChooseCaches(text->log_probs, groups, weights.weights, kChoiceFit);
  std::vector<std::string> names = {FullName(member)};
  std::vector<std::vector<float>> log_probs = {std::move(text->log_probs[0])};
  cache.caches.clear();
  for (size_t candidate : chosen) {
    cache.caches.push_back(candidates.caches[candidate - 1]);
    names.push_back(Describe(cache.caches.back()));
    log_probs.push_back(std::move(text->log_probs[candidate]));
  }
  text->log_probs = std::move(log_probs);
  const MixtureResult result = AssessMixture(
      weights, std::move(names), *text, member.model().vocabulary().unknown());
  for (size_t c = 0; c < cache.caches.size(); ++c) {
    cache.caches[c].weight = result.fit.weights[1 + c];
  }
  const absl::StatusOr<uint64_t> number =
      PublishCache(options, member, cache, result, text->words);
  if (!number.ok()) return number.status();
  const std::string version = VersionName(options.target.model, *number);
  if (options.json) {
    PrintJson(cache, result, version);
  } else {
    PrintMixture(result);
    std::cout << version << std::endl;
  }
  return absl::OkStatus();
}

// Throws a cli::ValidationError if the caches or their weights are not valid.
void CheckKinds(const CacheCommandOptions& options) {
  for (const std::string& kind : options.caches) {
    int order = 0;
    if (kind == kContinuous) continue;
    if (absl::SimpleAtoi(kind, &order) && order >= 1 &&
        order <= kMaxCacheOrder) {
      continue;
    }
    throw cli::ValidationError(
        "--caches", absl::StrCat("expected continuous or an order from 1 to ",
                                 kMaxCacheOrder, ", found ", kind));
  }
  if (options.weights.empty()) return;
  const size_t caches = std::max<size_t>(1, options.caches.size());
  if (options.weights.size() != caches) {
    throw cli::ValidationError(
        "--weights", absl::StrCat("expected one for each of --caches, ", caches,
                                  ", found ", options.weights.size()));
  }
  const double sum = absl::c_accumulate(options.weights, 0.0);
  if (!(sum <= 1)) {
    throw cli::ValidationError(
        "--weights", absl::StrCat("expected a sum of at most 1, found ", sum));
  }
}

}  // namespace

void AddCacheCommand(cli::App& app, CommandAction* action) {
  auto options = std::make_shared<CacheCommandOptions>();
  cli::App& command = *app.add_subcommand(
      "cache",
      "Add caches to a model, so that it adapts to the text that it reads, "
      "with weights that are fitted to a held-out text, and publish it as a "
      "new version.\n"
      "  lm_trainer cache --member lstm --corpus valid.xz --stream "
      "--store store --model adaptive");
  command
      .add_option("--member", options->member,
                  "Model to add the caches to, NAME, NAME@VERSION or "
                  "NAME@ALIAS")
      ->required();
  command
      .add_option("--caches", options->caches,
                  "Caches, separated by commas: continuous (Grave et al. "
                  "2017), for a recurrent model, or the order of an n-gram "
                  "cache, 1 to 8. By default continuous if the model is "
                  "recurrent, otherwise 1")
      ->delimiter(',');
  command
      .add_option("--history", options->history,
                  "The number of words that the caches remember")
      ->check(cli::Range(1, static_cast<int>(kMaxCacheHistory)))
      ->capture_default_str();
  command
      .add_option("--keys", options->keys,
                  "Precision of the hidden states that a continuous cache "
                  "remembers: float or bf16, which halves the size of a state")
      ->check(cli::IsMember({"float", "bf16"}))
      ->capture_default_str();
  command
      .add_option("--theta", options->thetas,
                  "Values to try for theta of the continuous cache, separated "
                  "by commas: how much it prefers similar places")
      ->delimiter(',')
      ->check(cli::Range(0.0, 1e6))
      ->capture_default_str();
  command
      .add_option("--decay", options->decays,
                  "Values to try for the decay of an n-gram cache, separated "
                  "by commas: how much a word counts for each word after it")
      ->delimiter(',')
      ->check(cli::Range(1e-6, 1.0))
      ->capture_default_str();
  cli::Option* weights =
      command
          .add_option("--weights", options->weights,
                      "Weights of the caches, separated by commas, instead of "
                      "fitted ones; the model has the rest to 1")
          ->delimiter(',')
          ->check(cli::Range(0.0, 1.0));
  command
      .add_option("--iterations", options->fit.iterations,
                  "Maximum number of iterations of the fit")
      ->check(cli::Range(1, 1'000'000))
      ->capture_default_str()
      ->excludes(weights);
  AddCorpusOptions(command, "Held-out text", &options->corpus, &options->rules);
  command.add_flag("--stream", options->stream,
                   "Score the text as one stream: keep the words of earlier "
                   "sentences in the caches, and count a blank line as an "
                   "empty sentence. Otherwise each sentence begins with empty "
                   "caches");
  command.add_flag("--json", options->json, "Print the result as JSON");
  AddTargetOptions(command, &options->target);
  command.callback([=] {
    CheckKinds(*options);
    *action = [=] { return MakeCache(*options); };
  });
}

}  // namespace lmserve
