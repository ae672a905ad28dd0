// SPDX-License-Identifier: Apache-2.0
#include "server/handlers/score.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "server/call/status.h"
#include "server/handlers/cannot_do.h"
#include "server/handlers/encoded_texts.h"
#include "server/handlers/replies.h"
#include "server/handlers/sources.h"
#include "server/handlers/text_scoring.h"
#include "server/handlers/word_rankings.h"

namespace lmserve {
namespace {

absl::Status EncodeSources(const lm::v1::ScoreRequest& request,
                           const LoadedVersion& loaded, const Limits& limits,
                           std::optional<EncodedTexts>* words) {
  if (request.sources_size() > 1 &&
      request.sources_size() != request.texts_size()) {
    return InvalidField(
        "sources",
        absl::StrCat("expected one, or one for each of ", request.texts_size(),
                     " texts, found ", request.sources_size()));
  }
  const std::vector<const lm::v1::Text*> sources(
      request.sources().pointer_begin(), request.sources().pointer_end());
  return EncodeSources("sources", loaded, limits, sources, words);
}

// Scores the texts from whole distributions, with what these say of each word.
// Reserves the memory of the answer.
Task<absl::Status> ScoreWithRankings(const ServingContext& serving, Call& call,
                                     const LoadedVersion& loaded,
                                     const lm::v1::ScoreRequest& request,
                                     const EncodedTexts& texts,
                                     const EncodedTexts* sources,
                                     lm::v1::ScoreResponse* response) {
  const Vocabulary& vocabulary = loaded.model().vocabulary();
  const size_t words = texts.all_words().size();
  const uint64_t k =
      std::min<uint64_t>(request.alternatives(), vocabulary.size());
  absl::Status status =
      CheckLimit("alternatives times words", std::max<uint64_t>(1, k) * words,
                 serving.limits.predictions);
  if (!status.ok()) co_return status;
  // A word has a rank, an entropy and, for each alternative, a word.
  uint64_t bytes =
      ScoresBytes(vocabulary, texts, /*per_word=*/true) +
      words * (4 * sizeof(float) + k * (sizeof(ScoredWord) + kReplyWordBytes));
  Budget::Reservation answer(serving.budgets.answer_bytes);
  status = answer.Resize("answer bytes", bytes);
  if (!status.ok()) co_return status;
  const absl::StatusOr<WordRankings> rankings = co_await RankWords(
      serving, call, loaded, texts, sources, k, request.ranks());
  if (!rankings.ok()) co_return rankings.status();
  for (const ScoredWord& word : rankings->best) {
    bytes += vocabulary.word(word.word).size();
  }
  status = answer.Resize("answer bytes", bytes);
  if (!status.ok()) co_return status;
  SetModelVersion(loaded, response->mutable_model());
  SetScores(vocabulary, texts, rankings->log_probs, /*per_word=*/true,
            response);
  SetRankings(vocabulary, texts, *rankings, response);
  co_return absl::OkStatus();
}

}  // namespace

Task<absl::Status> HandleScore(const ServingContext& serving, Call& call,
                               const lm::v1::ScoreRequest& request,
                               lm::v1::ScoreResponse* response) {
  const absl::StatusOr<ModelHandle> handle =
      FindModel(serving, call, request.model());
  if (!handle.ok()) co_return handle.status();
  const LoadedVersion& loaded = **handle;
  if (request.texts().empty()) {
    co_return InvalidField("texts", "expected a text, found none");
  }
  absl::Status status =
      CheckLimit("texts", request.texts_size(), serving.limits.texts);
  if (!status.ok()) co_return status;
  const AnyModel& model = loaded.model();
  if (request.no_end() && !model.predicts_end()) {
    co_return CannotDo("no_end", loaded, "score unfinished texts");
  }
  std::optional<EncodedTexts> sources;
  status = EncodeSources(request, loaded, serving.limits, &sources);
  if (!status.ok()) co_return status;
  const bool add_end = model.predicts_end() && !request.no_end();
  EncodedTexts texts(model.vocabulary(), serving.limits);
  for (int i = 0; i < request.texts_size(); ++i) {
    status = texts.Add(request.texts(i), "texts", i,
                       {.may_be_empty = true, .add_end = add_end});
    if (!status.ok()) co_return status;
  }
  const EncodedTexts* const source_words =
      sources.has_value() ? &*sources : nullptr;
  if (request.alternatives() > 0 || request.ranks()) {
    co_return co_await ScoreWithRankings(serving, call, loaded, request, texts,
                                         source_words, response);
  }
  Budget::Reservation answer(serving.budgets.answer_bytes);
  status = answer.Resize("answer bytes", ScoresBytes(model.vocabulary(), texts,
                                                     request.per_word()));
  if (!status.ok()) co_return status;
  const absl::StatusOr<std::vector<float>> log_probs =
      co_await ScoreTexts(serving, call, loaded, texts, source_words);
  if (!log_probs.ok()) co_return log_probs.status();

  SetModelVersion(loaded, response->mutable_model());
  SetScores(model.vocabulary(), texts, *log_probs, request.per_word(),
            response);
  co_return absl::OkStatus();
}

}  // namespace lmserve
