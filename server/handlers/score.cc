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

bool IncludesEnd(const lm::v1::ScoreRequest& request) {
  return !request.has_include_end() || request.include_end();
}

bool IncludesBegin(const lm::v1::ScoreRequest& request) {
  return !request.has_include_begin() || request.include_begin();
}

bool HasEmptyState(const AnyModel& model) {
  const LanguageModel* left_to_right = model.left_to_right();
  if (left_to_right == nullptr) return false;
  std::vector<std::byte> state(left_to_right->state_size());
  return left_to_right->StartEmpty(state.data());
}

bool HasNgramLengths(const AnyModel& model) {
  const LanguageModel* left_to_right = model.left_to_right();
  return left_to_right != nullptr && left_to_right->has_ngram_lengths();
}

// Checks that the model can do what the request asks for.
absl::Status CheckCanDo(const lm::v1::ScoreRequest& request,
                        const LoadedVersion& loaded) {
  const AnyModel& model = loaded.model();
  absl::Status status = CheckScoresTexts("model", loaded, "score texts");
  if (!status.ok()) return status;
  if (!IncludesEnd(request) && !model.predicts_end()) {
    return CannotDo("include_end", loaded, "score unfinished texts");
  }
  if (!IncludesBegin(request) && !HasEmptyState(model)) {
    return FamilyCannotDo("include_begin", loaded, "score texts without <s>",
                          "n-gram models and mixtures of n-gram models");
  }
  if (request.ngram_lengths() && !HasNgramLengths(model)) {
    return FamilyCannotDo("ngram_lengths", loaded,
                          "tell the lengths of n-grams", "n-gram models");
  }
  return absl::OkStatus();
}

// What a request asks to score, as ids.
struct EncodedRequest {
  EncodedTexts texts;
  std::optional<EncodedTexts> sources = {};
  TextFailures failures = {};  // only with keep_going

  const EncodedTexts* source_words() const {
    return sources.has_value() ? &*sources : nullptr;
  }
};

absl::Status EncodeSources(const lm::v1::ScoreRequest& request,
                           const LoadedVersion& loaded, const Limits& limits,
                           EncodedRequest* encoded) {
  if (request.sources_size() > 1 &&
      request.sources_size() != request.texts_size()) {
    return InvalidField(
        "sources",
        absl::StrCat("expected one, or one for each of ", request.texts_size(),
                     " texts, found ", request.sources_size()));
  }
  const std::vector<const lm::v1::Text*> sources(
      request.sources().pointer_begin(), request.sources().pointer_end());
  const bool may_fail =
      request.keep_going() && request.sources_size() == request.texts_size();
  return EncodeSources("sources", loaded, limits, sources, &encoded->sources,
                       may_fail ? &encoded->failures : nullptr);
}

absl::Status EncodeTexts(const lm::v1::ScoreRequest& request,
                         const LoadedVersion& loaded, EncodedRequest* encoded) {
  const EncodedTexts::Options options = {
      .may_be_empty = true,
      .add_end = loaded.model().predicts_end() && IncludesEnd(request)};
  for (int i = 0; i < request.texts_size(); ++i) {
    absl::Status status =
        request.keep_going()
            ? encoded->texts.AddOrFail(request.texts(i), "texts", i, options,
                                       &encoded->failures)
            : encoded->texts.Add(request.texts(i), "texts", i, options);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

// Scores the texts from whole distributions, with what these say of each word.
// Reserves the memory of the answer.
Task<absl::Status> ScoreWithRankings(const ServingContext& serving, Call& call,
                                     const LoadedVersion& loaded,
                                     const lm::v1::ScoreRequest& request,
                                     const EncodedRequest& encoded,
                                     uint64_t bytes,
                                     Budget::Reservation* answer,
                                     lm::v1::ScoreResponse* response) {
  const Vocabulary& vocabulary = loaded.model().vocabulary();
  const EncodedTexts& texts = encoded.texts;
  const size_t words = texts.all_words().size();
  const uint64_t k =
      std::min<uint64_t>(request.alternatives(), vocabulary.size());
  absl::Status status =
      CheckLimit("alternatives times words", std::max<uint64_t>(1, k) * words,
                 serving.limits.predictions);
  if (!status.ok()) co_return status;
  // A word has a rank, an entropy and, for each alternative, a word.
  bytes +=
      words * (4 * sizeof(float) + k * (sizeof(ScoredWord) + kReplyWordBytes));
  status = answer->Resize("answer bytes", bytes);
  if (!status.ok()) co_return status;
  const absl::StatusOr<WordRankings> rankings =
      co_await RankWords(serving, call, loaded, texts, encoded.source_words(),
                         IncludesBegin(request), k, request.ranks());
  if (!rankings.ok()) co_return rankings.status();
  for (const ScoredWord& word : rankings->best) {
    bytes += vocabulary.word(word.word).size();
  }
  status = answer->Resize("answer bytes", bytes);
  if (!status.ok()) co_return status;
  SetScores(vocabulary, texts, rankings->log_probs, /*per_word=*/true,
            response);
  SetRankings(vocabulary, texts, *rankings, response);
  co_return absl::OkStatus();
}

// Scores the texts, and sets all parts of the response but failures.
Task<absl::Status> ScoreEncoded(const ServingContext& serving, Call& call,
                                const LoadedVersion& loaded,
                                const lm::v1::ScoreRequest& request,
                                const EncodedRequest& encoded,
                                lm::v1::ScoreResponse* response) {
  const Vocabulary& vocabulary = loaded.model().vocabulary();
  const EncodedTexts& texts = encoded.texts;
  const bool rankings = request.alternatives() > 0 || request.ranks();
  const bool lengths = request.ngram_lengths();
  const bool per_word = request.per_word() || rankings || lengths;
  uint64_t bytes =
      ScoresBytes(vocabulary, texts, per_word) + FailureBytes(encoded.failures);
  if (lengths) bytes += texts.all_words().size() * 2 * sizeof(uint32_t);
  Budget::Reservation answer(serving.budgets.answer_bytes);
  absl::Status status = answer.Resize("answer bytes", bytes);
  if (!status.ok()) co_return status;
  SetModelVersion(loaded, response->mutable_model());
  if (rankings) {
    status = co_await ScoreWithRankings(serving, call, loaded, request, encoded,
                                        bytes, &answer, response);
    if (!status.ok() || !lengths) co_return status;
  }
  const TextScoringOptions options = {.include_begin = IncludesBegin(request),
                                      .ngram_lengths = lengths};
  const absl::StatusOr<ScoredTexts> scored = co_await ScoreTexts(
      serving, call, loaded, texts, encoded.source_words(), options);
  if (!scored.ok()) co_return scored.status();
  if (!rankings) {
    SetScores(vocabulary, texts, scored->log_probs, per_word, response);
  }
  if (lengths) SetNgramLengths(texts, scored->ngram_lengths, response);
  co_return absl::OkStatus();
}

}  // namespace

Task<absl::Status> HandleScore(const ServingContext& serving, Call& call,
                               const lm::v1::ScoreRequest& request,
                               lm::v1::ScoreResponse* response) {
  const absl::StatusOr<ModelHandle> handle =
      FindModel(serving, call, request.model());
  if (!handle.ok()) co_return handle.status();
  co_return co_await ScoreWithModel(serving, call, **handle, request, response);
}

Task<absl::Status> ScoreWithModel(const ServingContext& serving, Call& call,
                                  const LoadedVersion& loaded,
                                  const lm::v1::ScoreRequest& request,
                                  lm::v1::ScoreResponse* response) {
  if (request.texts().empty()) {
    co_return InvalidField("texts", "expected a text, found none");
  }
  absl::Status status =
      CheckLimit("texts", request.texts_size(), serving.limits.texts);
  if (status.ok()) status = CheckCanDo(request, loaded);
  if (!status.ok()) co_return status;
  EncodedRequest encoded = {
      .texts = EncodedTexts(loaded.model().vocabulary(), serving.limits)};
  status = EncodeSources(request, loaded, serving.limits, &encoded);
  if (status.ok()) status = EncodeTexts(request, loaded, &encoded);
  if (!status.ok()) co_return status;
  status =
      co_await ScoreEncoded(serving, call, loaded, request, encoded, response);
  if (status.ok()) SetFailures(encoded.failures, response);
  co_return status;
}

}  // namespace lmserve
