// lm_trainer evaluate, inspect and alias: what is done with versions that are
// in a store.

#include <cmath>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "model_store/loaded_version.h"
#include "model_store/manifest.h"
#include "model_store/model_name.h"
#include "model_store/publish.h"
#include "models/text.h"
#include "trainer/commands/command.h"
#include "trainer/evaluation/evaluate.h"
#include "trainer/text/parallel_corpus.h"

namespace lmserve {
namespace {

struct EvaluateOptions {
  ModelOptions source;
  std::string corpus;
  std::string translated;  // the file that the corpus translates
  bool stream = false;
  bool json = false;
};

struct InspectOptions {
  ModelOptions source;
  std::string context;
  bool next_words = false;
  int k = 10;
};

struct AliasOptions {
  ModelOptions target;
  std::string alias;
};

void PrintJson(const Evaluation& result) {
  const nlohmann::ordered_json json = {
      {"tokens", result.tokens},
      {"oov", result.oov},
      {"log_prob", JsonNumber(result.log_prob)},
      {"perplexity", JsonNumber(result.Perplexity())},
      {"perplexity_excluding_oov", JsonNumber(result.PerplexityExcludingOov())},
      {"words_per_second", JsonNumber(result.WordsPerSecond())},
  };
  std::cout << json.dump() << std::endl;
}

// The perplexity of a bidirectional model gets another name: it is of words
// that are known from both sides.
void PrintText(const Evaluation& result, bool bidirectional) {
  const char* pseudo = bidirectional ? "pseudo_" : "";
  const auto print = [](absl::string_view name, const std::string& value) {
    std::cout << absl::StreamFormat("%-24s  %s\n", name, value);
  };
  const auto decimals = [](double value) {
    return absl::StrFormat("%.4f", value);
  };
  print("tokens", absl::StrCat(result.tokens));
  print("oov", absl::StrCat(result.oov));
  print(absl::StrCat(pseudo, "log_prob"), decimals(result.log_prob));
  print(absl::StrCat(pseudo, "perplexity"), decimals(result.Perplexity()));
  print(absl::StrCat(pseudo, "perplexity_excluding_oov"),
        decimals(result.PerplexityExcludingOov()));
  print("words_per_second", absl::StrFormat("%.0f", result.WordsPerSecond()));
}

absl::StatusOr<Evaluation> Evaluate(const AnyModel& model, LineReader& lines,
                                    TextForm form, Progress& progress) {
  if (model.kind() == ModelKind::kLeftToRight) {
    return Evaluate(*model.left_to_right(), lines, form, progress);
  }
  if (form == TextForm::kStream) {
    return absl::InvalidArgumentError(
        "--stream: a bidirectional model reads sentences");
  }
  return Evaluate(*model.bidirectional(), lines, progress);
}

absl::StatusOr<Evaluation> EvaluateTranslation(const EvaluateOptions& options,
                                               const TranslationModel& model) {
  if (options.translated.empty() || options.stream) {
    return absl::InvalidArgumentError(
        "a translation model scores sentences given their sources: expected "
        "--source, and no --stream");
  }
  const absl::StatusOr<std::vector<SentencePair>> pairs =
      ReadSentencePairs(options.translated, model.source_vocabulary(),
                        options.corpus, model.decoder().vocabulary());
  if (!pairs.ok()) return pairs.status();
  return Evaluate(model, *pairs);
}

absl::Status RunEvaluate(const EvaluateOptions& options) {
  absl::StatusOr<ModelHandle> handle =
      LoadNamed(options.source.store, options.source.model);
  if (!handle.ok()) return handle.status();
  if (const TranslationModel* model = (*handle)->model().translation()) {
    const absl::StatusOr<Evaluation> result =
        EvaluateTranslation(options, *model);
    if (!result.ok()) return result.status();
    options.json ? PrintJson(*result) : PrintText(*result, false);
    return absl::OkStatus();
  }
  if (!options.translated.empty()) {
    return absl::InvalidArgumentError(
        "--source: the model is no translation model");
  }
  absl::StatusOr<std::unique_ptr<LineReader>> lines =
      LineReader::Open(options.corpus);
  if (!lines.ok()) return lines.status();
  Progress progress("evaluating", /*quiet=*/options.json);
  const absl::StatusOr<Evaluation> result = Evaluate(
      (*handle)->model(), **lines,
      options.stream ? TextForm::kStream : TextForm::kSentences, progress);
  if (!result.ok()) return result.status();
  const bool bidirectional =
      (*handle)->model().kind() == ModelKind::kBidirectional;
  options.json ? PrintJson(*result) : PrintText(*result, bidirectional);
  return absl::OkStatus();
}

// A model or a reranker.
absl::StatusOr<ModelHandle> LoadAny(const std::string& store,
                                    const std::string& spec) {
  const absl::StatusOr<uint64_t> version = FindVersion(store, spec);
  if (!version.ok()) return version.status();
  return LoadModel(store, ParseModelName(spec)->name, *version);
}

void PrintKind(const LoadedVersion& loaded) {
  if (loaded.is_reranker()) {
    std::cout << ToJson(loaded.reranker());
    return;
  }
  std::cout << "vocabulary  " << loaded.model().vocabulary().size() << "\n";
  const LanguageModel* model = loaded.model().word_by_word();
  if (model == nullptr) return;
  std::cout << "state       " << model->state_size() << " bytes\n";
}

void PrintVersion(const LoadedVersion& loaded) {
  const lm::v1::Manifest& manifest = loaded.manifest();
  std::cout << loaded.name() << "@" << loaded.version() << "\n"
            << "family      " << manifest.family() << "\n"
            << "created     " << manifest.created() << "\n";
  PrintKind(loaded);
  const std::map<std::string, std::string> properties(
      manifest.properties().begin(), manifest.properties().end());
  for (const auto& [key, value] : properties) {
    std::cout << absl::StreamFormat("%-10s  %s\n", key, value);
  }
  for (const lm::v1::ModelFile& file : manifest.files()) {
    std::cout << absl::StreamFormat("%-14s %12d bytes  sha256 %s\n",
                                    file.name(), file.size(), file.sha256());
  }
}

// The likeliest words after a context or, of a bidirectional model, between it
// and the end of the sentence.
std::vector<ScoredWord> FindNextWords(const AnyModel& model,
                                      absl::Span<const WordId> context,
                                      size_t k) {
  std::vector<ScoredWord> best(std::min<size_t>(k, model.vocabulary().size()));
  if (model.kind() == ModelKind::kBidirectional) {
    const BidirectionalModel::Gap gap = {context, {}};
    model.bidirectional()->Fill({&gap, 1}, best.size(), absl::MakeSpan(best));
    return best;
  }
  const LanguageModel& reader = *model.left_to_right();
  std::vector<std::byte> state(reader.state_size());
  reader.Start(state.data());
  const LanguageModel::Query query = {state.data(), context, state.data(), {}};
  reader.Score({&query, 1});
  const std::byte* states[] = {state.data()};
  reader.TopK(states, best.size(), absl::MakeSpan(best));
  return best;
}

void PrintNextWords(const AnyModel& model, const InspectOptions& options) {
  std::vector<WordId> context;
  for (absl::string_view word : SplitWords(options.context)) {
    context.push_back(model.vocabulary().Find(word));
  }
  const bool gap = model.kind() == ModelKind::kBidirectional;
  std::cout << (gap ? "in" : "after") << " <s> " << options.context
            << (gap ? " ___ </s>" : "") << "\n";
  for (const ScoredWord& next : FindNextWords(model, context, options.k)) {
    std::cout << absl::StreamFormat("%10.4f  %s\n", next.log_prob,
                                    model.vocabulary().word(next.word));
  }
}

absl::Status RunInspect(const InspectOptions& options) {
  absl::StatusOr<ModelHandle> handle =
      options.next_words ? LoadNamed(options.source.store, options.source.model)
                         : LoadAny(options.source.store, options.source.model);
  if (!handle.ok()) return handle.status();
  if (options.next_words &&
      (*handle)->model().kind() == ModelKind::kTranslation) {
    return absl::InvalidArgumentError(
        "--next: a translation model predicts given a source alone");
  }
  PrintVersion(**handle);
  if (options.next_words) PrintNextWords((*handle)->model(), options);
  return absl::OkStatus();
}

absl::Status RunAlias(const AliasOptions& options) {
  const absl::StatusOr<uint64_t> version =
      FindVersion(options.target.store, options.target.model);
  if (!version.ok()) return version.status();
  const std::string name = ParseModelName(options.target.model)->name;
  absl::Status status =
      SetAlias(options.target.store, name, options.alias, *version);
  if (!status.ok()) return status;
  std::cout << name << "@" << options.alias << " = " << name << "@" << *version
            << std::endl;
  return absl::OkStatus();
}

}  // namespace

void AddModelOptions(CLI::App& command, absl::string_view what,
                     ModelOptions* options) {
  command.add_option("--store", options->store, "Directory of the model store")
      ->required();
  command
      .add_option("--model", options->model,
                  absl::StrCat("Name of the model ", what))
      ->required();
}

absl::StatusOr<ModelHandle> LoadNamed(const std::string& store,
                                      const std::string& spec) {
  absl::StatusOr<ModelHandle> handle = LoadAny(store, spec);
  if (!handle.ok() || !(*handle)->is_reranker()) return handle;
  return absl::FailedPreconditionError(
      absl::StrCat("'", spec, "' is a reranker: expected a model"));
}

nlohmann::json JsonNumber(double value) {
  return std::isfinite(value) ? nlohmann::json(value) : nlohmann::json();
}

void AddEvaluateCommand(CLI::App& app, Work* work) {
  auto options = std::make_shared<EvaluateOptions>();
  CLI::App& command = *app.add_subcommand(
      "evaluate",
      "Tell the perplexity of a text under a model.\n"
      "  lm_trainer evaluate --corpus test.xz --store store --model en");
  command
      .add_option("--corpus", options->corpus,
                  "Text, a sentence a line: plain, .gz, .xz, or - for the "
                  "standard input")
      ->required();
  command.add_option("--source", options->translated,
                     "Text of which it is the translation, line by line, for "
                     "a translation model");
  command.add_flag("--stream", options->stream,
                   "Let the model's state go on over the ends of sentences, "
                   "and count blank lines as empty ones");
  command.add_flag("--json", options->json, "Print a JSON object");
  AddModelOptions(command, "to ask, NAME, NAME@VERSION or NAME@ALIAS",
                  &options->source);
  command.callback([=] { *work = [=] { return RunEvaluate(*options); }; });
}

void AddInspectCommand(CLI::App& app, Work* work) {
  auto options = std::make_shared<InspectOptions>();
  CLI::App& command = *app.add_subcommand(
      "inspect",
      "Verify a version and tell what is in it.\n"
      "  lm_trainer inspect --store store --model en --next 'the cat'");
  CLI::Option* next =
      command.add_option("--next", options->context,
                         "Print the likeliest words after this context, too");
  command.add_option("-k", options->k, "How many of them")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  AddModelOptions(command, "to read, NAME, NAME@VERSION or NAME@ALIAS",
                  &options->source);
  command.callback([=] {
    options->next_words = next->count() > 0;
    *work = [=] { return RunInspect(*options); };
  });
}

void AddAliasCommand(CLI::App& app, Work* work) {
  auto options = std::make_shared<AliasOptions>();
  CLI::App& command = *app.add_subcommand(
      "alias",
      "Let NAME@ALIAS stand for a version, as in en@stable.\n"
      "  lm_trainer alias stable --store store --model en@3");
  command.add_option("alias", options->alias, "Letters, digits, . _ and -")
      ->required();
  AddModelOptions(command, "that it names, NAME@VERSION; NAME is the newest",
                  &options->target);
  command.callback([=] { *work = [=] { return RunAlias(*options); }; });
}

}  // namespace lmserve
