// SPDX-License-Identifier: Apache-2.0
#include "server/handlers/text_scoring.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "absl/container/inlined_vector.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "models/score_gaps.h"
#include "server/call/status.h"
#include "server/handlers/cannot_do.h"
#include "server/handlers/sources.h"

namespace lmserve {
namespace {

// States up to this size, in bytes, are not counted: a call has only two.
constexpr size_t kSmallState = 1 << 14;

// Scores as much of a sentence at a time as fits into a batch, so that other
// calls have their turn in between.
Task<absl::Status> ScoreBidirectional(const ServingContext& serving, Call& call,
                                      const LoadedVersion& loaded,
                                      const EncodedTexts& texts,
                                      absl::Span<float> log_probs) {
  absl::Status status = CheckWordsRead(texts, serving.limits);
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

// Scores texts given their sources: one source for all texts, or one for each.
// To bound the memory it reads no more sources at a time than fit into a batch.
Task<absl::Status> ScoreTranslations(const ServingContext& serving, Call& call,
                                     const LoadedVersion& loaded,
                                     const EncodedTexts& texts,
                                     const EncodedTexts& sources,
                                     absl::Span<float> log_probs) {
  const size_t state_size = loaded.model().word_by_word()->state_size();
  const bool one_for_all = sources.size() == 1;
  for (size_t begin = 0, end = 0; begin < texts.size(); begin = end) {
    end = one_for_all ? texts.size()
                      : sources.EndOfPart(begin, serving.batcher.batch_words());
    SourceStates read;
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

// Scores all texts in one batch.
Task<absl::Status> ScoreLeftToRight(const ServingContext& serving, Call& call,
                                    const LoadedVersion& loaded,
                                    const EncodedTexts& texts,
                                    TextScoringOptions options,
                                    ScoredTexts* scored) {
  const LanguageModel& model = *loaded.model().left_to_right();
  Budget::Reservation state_bytes(serving.budgets.state_bytes);
  if (model.state_size() > kSmallState) {
    // The batcher may have to carry a second one, that of a long text.
    absl::Status status = state_bytes.Resize("texts: bytes of their states",
                                             2 * model.state_size());
    if (!status.ok()) co_return status;
  }
  absl::InlinedVector<std::byte, 16> start(model.state_size());
  StartTexts(model, options.include_begin, start.data());
  const absl::Span<float> log_probs = absl::MakeSpan(scored->log_probs);
  absl::InlinedVector<LanguageModel::Query, 1> batch;
  batch.reserve(texts.size());
  for (size_t i = 0; i < texts.size(); ++i) {
    batch.push_back(
        {start.data(), texts.words(i), nullptr, texts.Part(log_probs, i)});
    if (!options.ngram_lengths) continue;
    batch.back().ngram_lengths =
        texts.Part(absl::MakeSpan(scored->ngram_lengths), i);
  }
  const ModelWork work = {.model = loaded, .queries = batch};
  co_return co_await serving.batcher.Run(call, work);
}

// The keys of the texts in the cache.
std::vector<ScoreCache::Text> CacheKeys(const EncodedTexts& texts,
                                        const EncodedTexts* sources) {
  std::vector<ScoreCache::Text> keys(texts.size());
  for (size_t i = 0; i < texts.size(); ++i) {
    keys[i].words = texts.words(i);
    if (sources == nullptr) continue;
    keys[i].source = sources->words(sources->size() == 1 ? 0 : i);
  }
  return keys;
}

}  // namespace

absl::Status CheckWordsRead(const EncodedTexts& texts, const Limits& limits) {
  uint64_t read = 0;
  for (size_t i = 0; i < texts.size(); ++i) {
    read += uint64_t{texts.words(i).size()} * texts.words(i).size();
  }
  return CheckLimit("words to read (a text of n words is read n times)", read,
                    limits.words_read);
}

void StartTexts(const LanguageModel& model, bool include_begin,
                std::byte* state) {
  if (include_begin) {
    model.Start(state);
  } else {
    model.StartEmpty(state);
  }
}

Task<absl::StatusOr<ScoredTexts>> ScoreTexts(const ServingContext& serving,
                                             Call& call,
                                             const LoadedVersion& loaded,
                                             const EncodedTexts& texts,
                                             const EncodedTexts* sources,
                                             TextScoringOptions options) {
  ScoredTexts scored;
  scored.log_probs.resize(texts.all_words().size());
  if (options.ngram_lengths) {
    scored.ngram_lengths.resize(texts.all_words().size());
  }
  const absl::Span<float> all = absl::MakeSpan(scored.log_probs);
  absl::Status status;
  switch (loaded.model().kind()) {
    case ModelKind::kLeftToRight:
      status = co_await ScoreLeftToRight(serving, call, loaded, texts, options,
                                         &scored);
      break;
    case ModelKind::kBidirectional:
      status = co_await ScoreBidirectional(serving, call, loaded, texts, all);
      break;
    case ModelKind::kTranslation:
      status = co_await ScoreTranslations(serving, call, loaded, texts,
                                          *sources, all);
      break;
    case ModelKind::kTagger:
    case ModelKind::kClassifier:
      status = CannotDo("model", loaded, "score texts");
      break;
  }
  if (!status.ok()) co_return status;
  co_return scored;
}

Task<absl::StatusOr<std::vector<ScoreCache::Score>>> ScoreWholeTexts(
    const ServingContext& serving, Call& call, const ModelHandle& model,
    const EncodedTexts& texts, const EncodedTexts* sources) {
  std::vector<ScoreCache::Score> scores(texts.size());
  const std::vector<size_t> missing = serving.score_cache.Find(
      model, CacheKeys(texts, sources), absl::MakeSpan(scores));
  if (missing.empty()) co_return scores;
  const EncodedTexts new_texts = texts.Select(missing);
  std::optional<EncodedTexts> new_sources;
  if (sources != nullptr && sources->size() > 1) {
    sources = &new_sources.emplace(sources->Select(missing));
  }
  const absl::StatusOr<ScoredTexts> scored =
      co_await ScoreTexts(serving, call, *model, new_texts, sources);
  if (!scored.ok()) co_return scored.status();
  const bool has_end = model->model().predicts_end();
  std::vector<ScoreCache::Score> new_scores;
  for (size_t i = 0; i < missing.size(); ++i) {
    const auto words =
        new_texts.Part(absl::MakeConstSpan(scored->log_probs), i);
    ScoreCache::Score& score = new_scores.emplace_back();
    for (float log_prob : words) {
      if (std::isinf(log_prob)) {
        ++score.impossible;
      } else {
        score.log_prob += log_prob;
      }
    }
    if (has_end) score.end = words.back();
    scores[missing[i]] = new_scores.back();
  }
  serving.score_cache.Insert(model, CacheKeys(new_texts, sources), new_scores);
  co_return scores;
}

}  // namespace lmserve
