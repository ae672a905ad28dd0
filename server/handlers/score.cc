#include "server/handlers/score.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <string>

#include "absl/container/inlined_vector.h"
#include "absl/strings/str_cat.h"
#include "server/call/status.h"
#include "server/handlers/cannot_do.h"
#include "server/handlers/sources.h"

namespace lmserve {
namespace {

void SetWords(const Vocabulary& vocabulary, absl::Span<const WordId> words,
              absl::Span<const float> log_probs, lm::v1::WordScores* detail) {
  detail->mutable_log_probs()->Add(log_probs.begin(), log_probs.end());
  for (WordId word : words) {
    const absl::string_view text = vocabulary.word(word);
    detail->add_words(text.data(), text.size());
    detail->add_unknown(word == vocabulary.unknown());
  }
}

void SetScore(const Vocabulary& vocabulary, absl::Span<const WordId> words,
              absl::Span<const float> log_probs, lm::v1::TextScore* score) {
  double log_prob = 0, known_log_prob = 0;
  uint32_t unknown = 0;
  for (size_t i = 0; i < words.size(); ++i) {
    log_prob += log_probs[i];
    if (words[i] == vocabulary.unknown()) {
      ++unknown;
    } else {
      known_log_prob += log_probs[i];
    }
  }
  const uint32_t known = words.size() - unknown;
  score->set_log_prob(log_prob);
  score->set_word_count(words.size());
  score->set_unknown_count(unknown);
  score->set_known_log_prob(known_log_prob);
  score->set_perplexity(std::exp(-log_prob / words.size()));
  score->set_known_perplexity(known == 0 ? 0
                                         : std::exp(-known_log_prob / known));
}

void SetScores(const Vocabulary& vocabulary, const EncodedTexts& texts,
               absl::Span<const float> log_probs, bool per_word,
               lm::v1::ScoreResponse* response) {
  response->mutable_scores()->Reserve(static_cast<int>(texts.size()));
  for (size_t i = 0; i < texts.size(); ++i) {
    const absl::Span<const WordId> words = texts.words(i);
    const absl::Span<const float> scores = texts.Part(log_probs, i);
    lm::v1::TextScore* score = response->add_scores();
    SetScore(vocabulary, words, scores, score);
    if (per_word) SetWords(vocabulary, words, scores, score->mutable_words());
  }
}

// ln P of words[begin] to words[end - 1] of a sentence, each given all others:
// rates each of them in each of their gaps, which costs little more than each
// in its own.
void ScoreGaps(const BidirectionalModel& model, absl::Span<const WordId> words,
               size_t begin, absl::Span<float> log_probs) {
  const size_t count = log_probs.size();
  std::vector<BidirectionalModel::Gap> gaps;
  for (size_t t = begin; t < begin + count; ++t) {
    gaps.push_back({words.first(t), words.subspan(t + 1)});
  }
  std::vector<float> rated(count * count);
  model.Rate(gaps, words.subspan(begin, count), rated.data());
  for (size_t i = 0; i < count; ++i) log_probs[i] = rated[i * count + i];
}

// A bidirectional model reads a text once for each of its words.
uint64_t WordsRead(const EncodedTexts& texts) {
  uint64_t read = 0;
  for (size_t i = 0; i < texts.size(); ++i) {
    read += uint64_t{texts.words(i).size()} * texts.words(i).size();
  }
  return read;
}

// As much of a sentence at a time as fits a batch, so that others have their
// turn between.
Task<absl::Status> ScoreBidirectional(const ServingContext& serving, Call& call,
                                      const LoadedVersion& loaded,
                                      const EncodedTexts& texts,
                                      absl::Span<float> log_probs) {
  absl::Status status =
      CheckLimit("words to read, n times n of a text of n words",
                 WordsRead(texts), serving.limits.words_read);
  if (!status.ok()) co_return status;
  for (size_t i = 0; i < texts.size(); ++i) {
    const absl::Span<const WordId> words = texts.words(i);
    const size_t most = std::max<size_t>(
        1, serving.batcher.batch_words() / std::max<size_t>(1, words.size()));
    for (size_t begin = 0; begin < words.size(); begin += most) {
      const absl::Span<float> part =
          texts.Part(log_probs, i).subspan(begin, most);
      const auto score = [&] {
        ScoreGaps(*loaded.model().bidirectional(), words, begin, part);
      };
      status = co_await serving.batcher.Run(call, loaded,
                                            part.size() * words.size(), score);
      if (!status.ok()) co_return status;
    }
  }
  co_return absl::OkStatus();
}

// Texts, some of which or all of one source, of which so many are read at once
// as fit a batch: it bounds the memory.
Task<absl::Status> ScoreTranslations(const ServingContext& serving, Call& call,
                                     const LoadedVersion& loaded,
                                     const EncodedTexts& texts,
                                     const EncodedTexts& sources,
                                     absl::Span<float> log_probs) {
  const size_t state_size = loaded.model().word_by_word()->state_size();
  const bool one_for_all = sources.size() == 1;
  for (size_t begin = 0, end = 0; begin < texts.size(); begin = end) {
    SourceStates read;
    if (one_for_all) {
      end = texts.size();
    } else {
      size_t words = 0;
      do {
        words += sources.words(end++).size();
      } while (end < texts.size() && words + sources.words(end).size() <=
                                         serving.batcher.batch_words());
    }
    const size_t first = one_for_all ? 0 : begin;
    const size_t last = one_for_all ? 1 : end;
    absl::Status status = co_await ReadSources(serving, call, loaded, sources,
                                               first, last, &read);
    if (!status.ok()) co_return status;
    std::vector<std::byte> starts(read.size() * state_size);
    for (size_t i = 0; i < read.size(); ++i) {
      read[i]->Start(starts.data() + i * state_size);
    }
    std::vector<LanguageModel::Query> batch;
    for (size_t i = begin; i < end; ++i) {
      const size_t source = one_for_all ? 0 : i - begin;
      batch.push_back({starts.data() + source * state_size, texts.words(i),
                       nullptr, texts.Part(log_probs, i)});
    }
    const ModelWork work = {.model = loaded, .queries = batch};
    status = co_await serving.batcher.Run(call, work);
    if (!status.ok()) co_return status;
  }
  co_return absl::OkStatus();
}

absl::Status EncodeSources(const lm::v1::ScoreRequest& request,
                           const LoadedVersion& loaded, const Limits& limits,
                           std::optional<EncodedTexts>* words) {
  if (request.sources_size() > 1 &&
      request.sources_size() != request.texts_size()) {
    return InvalidField(
        "sources",
        absl::StrCat("expected one, or one a text, ", request.texts_size(),
                     ", found ", request.sources_size()));
  }
  const std::vector<const lm::v1::Text*> sources(
      request.sources().pointer_begin(), request.sources().pointer_end());
  return EncodeSources("sources", loaded, limits, sources, words);
}

// What the cache knows texts by.
std::vector<ScoreCache::Text> CachedTexts(const EncodedTexts& texts,
                                          const EncodedTexts* sources) {
  std::vector<ScoreCache::Text> cached(texts.size());
  for (size_t i = 0; i < texts.size(); ++i) {
    cached[i].words = texts.words(i);
    if (sources == nullptr) continue;
    cached[i].source = sources->words(sources->size() == 1 ? 0 : i);
  }
  return cached;
}

}  // namespace

void SetModel(const LoadedVersion& loaded, lm::v1::ModelVersion* version) {
  version->set_name(loaded.name());
  version->set_version(loaded.version());
}

Task<absl::StatusOr<std::vector<float>>> ScoreTexts(
    const ServingContext& serving, Call& call, const LoadedVersion& loaded,
    const EncodedTexts& texts, const EncodedTexts* sources) {
  std::vector<float> log_probs(texts.all_words().size());
  const LanguageModel* model = loaded.model().left_to_right();
  if (model == nullptr) {
    absl::Status status;
    if (sources == nullptr) {
      status = co_await ScoreBidirectional(serving, call, loaded, texts,
                                           absl::MakeSpan(log_probs));
    } else {
      status = co_await ScoreTranslations(serving, call, loaded, texts,
                                          *sources, absl::MakeSpan(log_probs));
    }
    if (!status.ok()) co_return status;
    co_return log_probs;
  }
  absl::InlinedVector<std::byte, 16> start(model->state_size());
  model->Start(start.data());
  absl::InlinedVector<LanguageModel::Query, 1> batch;
  batch.reserve(texts.size());
  for (size_t i = 0; i < texts.size(); ++i) {
    batch.push_back({start.data(), texts.words(i), nullptr,
                     texts.Part(absl::MakeSpan(log_probs), i)});
  }
  const ModelWork work = {.model = loaded, .queries = batch};
  absl::Status status = co_await serving.batcher.Run(call, work);
  if (!status.ok()) co_return status;
  co_return log_probs;
}

Task<absl::StatusOr<std::vector<ScoreCache::Score>>> ScoreWholeTexts(
    const ServingContext& serving, Call& call, const ModelHandle& model,
    const EncodedTexts& texts, const EncodedTexts* sources) {
  std::vector<ScoreCache::Score> scores(texts.size());
  const std::vector<size_t> missing = serving.score_cache.Find(
      model, CachedTexts(texts, sources), absl::MakeSpan(scores));
  if (missing.empty()) co_return scores;
  const EncodedTexts new_texts = texts.Select(missing);
  std::optional<EncodedTexts> new_sources;
  if (sources != nullptr && sources->size() > 1) {
    sources = &new_sources.emplace(sources->Select(missing));
  }
  const absl::StatusOr<std::vector<float>> log_probs =
      co_await ScoreTexts(serving, call, *model, new_texts, sources);
  if (!log_probs.ok()) co_return log_probs.status();
  const bool has_end = model->model().predicts_end();
  std::vector<ScoreCache::Score> new_scores;
  for (size_t i = 0; i < missing.size(); ++i) {
    const auto words = new_texts.Part(absl::MakeConstSpan(*log_probs), i);
    new_scores.push_back({std::accumulate(words.begin(), words.end(), 0.0),
                          has_end ? words.back() : 0});
    scores[missing[i]] = new_scores.back();
  }
  serving.score_cache.Insert(model, CachedTexts(new_texts, sources),
                             new_scores);
  co_return scores;
}

Task<absl::Status> Score(const ServingContext& serving, Call& call,
                         const lm::v1::ScoreRequest& request,
                         lm::v1::ScoreResponse* response) {
  const absl::StatusOr<ModelHandle> handle = serving.store.Get(request.model());
  if (!handle.ok()) co_return handle.status();
  const LoadedVersion& loaded = **handle;
  if (request.texts().empty()) {
    co_return InvalidField("texts", "expected a text, found none");
  }
  absl::Status status =
      CheckLimit("texts", request.texts_size(), serving.limits.texts);
  if (!status.ok()) co_return status;
  const AnyModel& model = loaded.model();
  if (request.no_end() && model.kind() == ModelKind::kBidirectional) {
    co_return CannotDo("no_end", loaded, "score unfinished texts");
  }
  std::optional<EncodedTexts> sources;
  status = EncodeSources(request, loaded, serving.limits, &sources);
  if (!status.ok()) co_return status;
  const bool add_end = model.predicts_end() && !request.no_end();
  EncodedTexts texts(model.vocabulary(), serving.limits);
  for (int i = 0; i < request.texts_size(); ++i) {
    status = texts.Add(request.texts(i), "texts", i, {.add_end = add_end});
    if (!status.ok()) co_return status;
  }
  const absl::StatusOr<std::vector<float>> log_probs = co_await ScoreTexts(
      serving, call, loaded, texts, sources.has_value() ? &*sources : nullptr);
  if (!log_probs.ok()) co_return log_probs.status();

  SetModel(loaded, response->mutable_model());
  SetScores(model.vocabulary(), texts, *log_probs, request.per_word(),
            response);
  co_return absl::OkStatus();
}

}  // namespace lmserve
