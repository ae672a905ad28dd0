// SPDX-License-Identifier: Apache-2.0
#include "local/local_model.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <optional>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "local/label_texts.h"
#include "local/score_texts.h"
#include "model_store/load_version.h"
#include "model_store/private_memory.h"
#include "models/find_words.h"
#include "models/model_factory.h"
#include "models/ngram/fast/ngram_builder.h"
#include "models/ngram/fast/ngram_model.h"
#include "models/ngram/ngram_set.h"
#include "ngram_files/read_ngrams.h"
#include "reranking/normalized_log_prob.h"

namespace lmserve {

double LocalScore::log_prob() const {
  return std::accumulate(log_probs.begin(), log_probs.end(), 0.0);
}

// Either a version, which owns its model, or a model of a file and the bytes
// that it reads in place.
struct LocalModel::Content {
  const AnyModel& any() const {
    return version != nullptr ? version->model() : *model;
  }

  ModelHandle version;
  PrivateMemory bytes;
  std::optional<AnyModel> model;
  std::string name;
  std::string family;
  double begin_log10 = kLog10OfZero;
  uint64_t fingerprint = 0;
  std::vector<std::string> warnings;
};

// A text whose first words were read.
struct LocalModel::Begun {
  const LanguageModel& reader;
  // What the states of a translation refer to.
  std::unique_ptr<const TranslationModel::Source> source;
  std::vector<WordId> prompt;
  std::vector<std::byte> state;  // after the prompt
};

namespace {

// FNV-1a, of 8 bytes at a time.
class Fingerprint {
 public:
  void Add(absl::string_view bytes) {
    for (size_t i = 0; i < bytes.size(); i += sizeof(uint64_t)) {
      uint64_t word = 0;
      const size_t size = std::min(sizeof(word), bytes.size() - i);
      std::memcpy(&word, bytes.data() + i, size);
      hash_ = (hash_ ^ word) * 0x100000001B3;
      hash_ ^= hash_ >> 32;
    }
  }
  uint64_t value() const { return hash_; }

 private:
  uint64_t hash_ = 0xCBF29CE484222325;
};

uint64_t FingerprintOf(const lm::v1::Manifest& manifest) {
  Fingerprint fingerprint;
  for (const lm::v1::ModelFile& file : manifest.files()) {
    fingerprint.Add(file.sha256());
  }
  return fingerprint.value();
}

absl::Status CheckIsFinite(absl::string_view field, double number) {
  if (std::isfinite(number)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(field, ": expected a finite number, found ", number));
}

}  // namespace

LocalModel::LocalModel(std::unique_ptr<const Content> content)
    : content_(std::move(content)) {}
LocalModel::LocalModel(LocalModel&&) noexcept = default;
LocalModel& LocalModel::operator=(LocalModel&&) noexcept = default;
LocalModel::~LocalModel() = default;

absl::StatusOr<LocalModel> LocalModel::Open(const std::string& store,
                                            const std::string& name,
                                            const LocalOpenOptions& options) {
  absl::StatusOr<ModelHandle> version =
      LoadModelVersion(store, name, options.map_files);
  if (!version.ok()) return version.status();
  auto content = std::make_unique<Content>();
  content->version = *std::move(version);
  content->name = content->version->name();
  content->family = content->version->manifest().family();
  content->fingerprint = FingerprintOf(content->version->manifest());
  return LocalModel(std::move(content));
}

absl::StatusOr<LocalModel> LocalModel::FromFile(const std::string& path,
                                                bool literal) {
  absl::StatusOr<ImportedNgrams> ngrams = ReadNgrams(path, literal);
  if (!ngrams.ok()) return ngrams.status();
  auto content = std::make_unique<Content>();
  Fingerprint fingerprint;
  fingerprint.Add(ngrams->vocabulary.text());
  {
    absl::StatusOr<std::string> file = BuildNgramFile(ngrams->table);
    if (!file.ok()) return file.status();
    ngrams->table = {};
    absl::StatusOr<PrivateMemory> memory =
        PrivateMemory::Allocate(file->size());
    if (!memory.ok()) return memory.status();
    std::copy(file->begin(), file->end(), memory->writable().begin());
    memory->Seal();
    content->bytes = *std::move(memory);
    fingerprint.Add(content->bytes.bytes());
  }
  content->fingerprint = fingerprint.value();
  absl::StatusOr<std::unique_ptr<NgramModel>> model =
      NgramModel::Create(std::move(ngrams->vocabulary), content->bytes.bytes());
  if (!model.ok()) return model.status();
  content->model.emplace(std::unique_ptr<LanguageModel>(*std::move(model)));
  content->name = path;
  content->family = std::string(kNgramFamily);
  content->begin_log10 = ngrams->begin_log10;
  content->warnings = std::move(ngrams->warnings);
  return LocalModel(std::move(content));
}

const AnyModel& LocalModel::model() const { return content_->any(); }
const std::string& LocalModel::name() const { return content_->name; }
const std::string& LocalModel::family() const { return content_->family; }
double LocalModel::begin_log10() const { return content_->begin_log10; }

uint64_t LocalModel::fingerprint() const { return content_->fingerprint; }

uint64_t LocalModel::version() const {
  return content_->version == nullptr ? 0 : content_->version->version();
}

const std::vector<std::string>& LocalModel::warnings() const {
  return content_->warnings;
}

int LocalModel::order() const {
  const auto* ngrams = dynamic_cast<const NgramSet*>(model().left_to_right());
  return ngrams == nullptr ? 0 : ngrams->order();
}

absl::Status LocalModel::CannotDo(absl::string_view what) const {
  return absl::FailedPreconditionError(absl::StrCat("model '", name(), "' is ",
                                                    KindName(model().kind()),
                                                    ": it cannot ", what));
}

absl::StatusOr<std::vector<LocalScore>> LocalModel::Score(
    absl::Span<const absl::string_view> texts,
    const LocalScoreOptions& options) const {
  if (!model().scores_texts()) return CannotDo("score texts");
  const size_t sources = options.sources.size();
  if (model().kind() == ModelKind::kTranslation) {
    if (sources != 1 && sources != texts.size()) {
      return absl::InvalidArgumentError(
          absl::StrCat("sources: expected one, or one for each of the ",
                       texts.size(), " texts, found ", sources));
    }
  } else if (sources > 0) {
    return CannotDo("read sources");
  }
  if (!options.begin) {
    const LanguageModel* reader = model().left_to_right();
    if (reader == nullptr) return CannotDo("score texts without <s>");
    std::vector<std::byte> state(reader->state_size());
    if (!reader->StartEmpty(state.data())) {
      return CannotDo("score texts without <s>: it predicts only after it");
    }
  }
  return ScoreTexts(model(), texts, options);
}

absl::StatusOr<LocalScore> LocalModel::Score(absl::string_view text) const {
  absl::StatusOr<std::vector<LocalScore>> scores = Score({&text, 1});
  if (!scores.ok()) return scores.status();
  return std::move(scores->front());
}

absl::StatusOr<LocalModel::Begun> LocalModel::Begin(
    absl::string_view prompt, absl::string_view source) const {
  const LanguageModel* reader = word_by_word();
  if (reader == nullptr) return CannotDo("read a text word by word");
  absl::StatusOr<std::vector<WordId>> words = WordsOf(vocabulary(), prompt);
  if (!words.ok()) return words.status();
  Begun begun = {*reader, nullptr, *std::move(words),
                 std::vector<std::byte>(reader->state_size())};
  if (const TranslationModel* translation = model().translation()) {
    begun.source =
        translation->Read(FindWords(translation->source_vocabulary(), source));
    begun.source->Start(begun.state.data());
  } else if (!source.empty()) {
    return CannotDo("read a source");
  } else {
    reader->Start(begun.state.data());
  }
  if (!begun.prompt.empty()) {
    const LanguageModel::Query query = {
        begun.state.data(), begun.prompt, begun.state.data(), {}};
    reader->Score({&query, 1});
  }
  return begun;
}

absl::StatusOr<std::vector<std::byte>> LocalModel::State(
    absl::string_view text) const {
  // The states of a translation refer to a source, which ends with this call.
  if (model().kind() == ModelKind::kTranslation) {
    return CannotDo("give states away: they refer to a source");
  }
  absl::StatusOr<Begun> begun = Begin(text, "");
  if (!begun.ok()) return begun.status();
  return std::move(begun->state);
}

absl::StatusOr<std::vector<float>> LocalModel::Extend(
    absl::Span<std::vector<std::byte>> states,
    absl::Span<const WordId> words) const {
  const LanguageModel* reader = model().left_to_right();
  if (reader == nullptr) return CannotDo("extend states");
  if (words.size() != states.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("words: expected one for each of the ", states.size(),
                     " states, found ", words.size()));
  }
  std::vector<float> log_probs(words.size());
  std::vector<LanguageModel::Query> batch;
  for (size_t i = 0; i < states.size(); ++i) {
    if (states[i].size() != reader->state_size()) {
      return absl::InvalidArgumentError(
          absl::StrCat("state ", i, ": expected ", reader->state_size(),
                       " bytes, found ", states[i].size()));
    }
    if (words[i] >= vocabulary().size()) {
      return absl::InvalidArgumentError(
          absl::StrCat("word ", i, ": expected an id below ",
                       vocabulary().size(), ", found ", words[i]));
    }
    batch.push_back({states[i].data(), words.subspan(i, 1), states[i].data(),
                     absl::MakeSpan(log_probs).subspan(i, 1)});
  }
  reader->Score(batch);
  return log_probs;
}

absl::StatusOr<std::vector<ScoredWord>> LocalModel::Predict(
    absl::string_view text, size_t k) const {
  const absl::StatusOr<std::vector<std::byte>> state = State(text);
  if (!state.ok()) return state.status();
  std::vector<ScoredWord> best(std::min<size_t>(k, vocabulary().size()));
  const std::byte* const asked = state->data();
  if (!best.empty()) {
    word_by_word()->TopK({&asked, 1}, best.size(), absl::MakeSpan(best));
  }
  return best;
}

absl::StatusOr<std::vector<float>> LocalModel::Distribution(
    absl::string_view text) const {
  const absl::StatusOr<std::vector<std::byte>> state = State(text);
  if (!state.ok()) return state.status();
  std::vector<float> log_probs(vocabulary().size());
  const std::byte* const asked = state->data();
  word_by_word()->Distribution({&asked, 1}, log_probs.data());
  return log_probs;
}

absl::StatusOr<LocalText> LocalModel::Generate(
    absl::string_view prompt, const LocalGenerateOptions& options) const {
  absl::StatusOr<Begun> begun = Begin(prompt, options.source);
  if (!begun.ok()) return begun.status();
  const LanguageModel& reader = begun->reader;
  std::byte* const state = begun->state.data();
  Sampler sampler(vocabulary().unknown(), options.sampler, options.seed);
  for (WordId word : begun->prompt) sampler.Use(word);
  std::vector<ScoredWord> best;
  std::vector<float> all;
  LocalText text;
  while (text.words.size() < options.max_words) {
    const std::byte* const asked = state;
    std::optional<ScoredWord> drawn;
    const size_t wanted = sampler.best_wanted(vocabulary().size());
    if (wanted == 0) {
      all.resize(vocabulary().size());
      reader.Distribution({&asked, 1}, all.data());
      drawn = sampler.DrawFromAll(all);
    } else {
      best.resize(wanted);
      reader.TopK({&asked, 1}, wanted, absl::MakeSpan(best));
      drawn = sampler.DrawFromBest(best);
    }
    if (!drawn.has_value()) break;  // no word is possible
    text.log_probs.push_back(drawn->log_prob);
    text.ended = drawn->word == vocabulary().end_sentence();
    if (text.ended) break;
    text.words.push_back(drawn->word);
    sampler.Use(drawn->word);
    const LanguageModel::Query query = {state, {&drawn->word, 1}, state, {}};
    reader.Score({&query, 1});
  }
  return text;
}

absl::StatusOr<std::vector<BeamSearch::Hypothesis>> LocalModel::Search(
    absl::string_view prompt, size_t count, const BeamSearchOptions& options,
    absl::string_view source) const {
  if (options.coverage_beta != 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "coverage_beta: expected 0, found ", options.coverage_beta));
  }
  if (options.beam == 0) {
    return absl::InvalidArgumentError("beam: expected at least 1, found 0");
  }
  absl::Status status = CheckIsFinite("length_alpha", options.length_alpha);
  if (!status.ok()) return status;
  const absl::StatusOr<Begun> begun = Begin(prompt, source);
  if (!begun.ok()) return begun.status();
  BeamSearch search(begun->reader, options, begun->state.data());
  while (!search.done()) {
    const BeamSearch::Step step = search.Next();
    begun->reader.Score(step.moves);
    std::vector<ScoredWord> best(step.states.size() * step.k);
    begun->reader.TopK(step.states, step.k, absl::MakeSpan(best));
    search.Take(best);
  }
  return search.Best(count);
}

absl::StatusOr<std::vector<LocalRank>> LocalModel::Rerank(
    absl::Span<const absl::string_view> candidates, double alpha,
    const LocalScoreOptions& score) const {
  absl::Status status = CheckIsFinite("alpha", alpha);
  if (!status.ok()) return status;
  const absl::StatusOr<std::vector<LocalScore>> scores =
      Score(candidates, score);
  if (!scores.ok()) return scores.status();
  std::vector<LocalRank> ranks;
  for (size_t i = 0; i < scores->size(); ++i) {
    double possible = 0;
    size_t impossible = 0;
    for (float log_prob : (*scores)[i].log_probs) {
      if (std::isinf(log_prob)) {
        ++impossible;
      } else {
        possible += log_prob;
      }
    }
    ranks.push_back(
        {i, NormalizedLogProb(possible, impossible,
                              (*scores)[i].log_probs.size(), alpha)});
  }
  std::stable_sort(
      ranks.begin(), ranks.end(),
      [](const LocalRank& a, const LocalRank& b) { return a.score > b.score; });
  return ranks;
}

size_t LocalModel::dimensions() const {
  const SentenceEncoder* encoder = model().sentence_encoder();
  return encoder == nullptr ? 0 : encoder->dimensions();
}

absl::StatusOr<std::vector<float>> LocalModel::Embed(
    absl::Span<const absl::string_view> texts,
    const LocalEmbedOptions& options) const {
  const SentenceEncoder* encoder = model().sentence_encoder();
  if (encoder == nullptr) return CannotDo("embed texts");
  return EmbedTexts(*encoder, texts, options);
}

absl::Span<const std::string> LocalModel::labels() const {
  switch (model().kind()) {
    case ModelKind::kTagger:
      return model().tagger()->labels();
    case ModelKind::kClassifier:
      return model().classifier()->labels();
    default:
      return {};
  }
}

absl::StatusOr<std::vector<std::vector<size_t>>> LocalModel::Tag(
    absl::Span<const absl::string_view> sentences) const {
  if (model().tagger() == nullptr) return CannotDo("tag sentences");
  return TagTexts(*model().tagger(), sentences);
}

absl::StatusOr<std::vector<float>> LocalModel::Classify(
    absl::Span<const absl::string_view> texts) const {
  if (model().classifier() == nullptr) return CannotDo("classify texts");
  return ClassifyTexts(*model().classifier(), texts);
}

}  // namespace lmserve
