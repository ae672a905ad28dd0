// SPDX-License-Identifier: Apache-2.0
#include "server/handlers/predict.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "models/text.h"
#include "server/call/status.h"
#include "server/handlers/best_words.h"
#include "server/handlers/cannot_do.h"
#include "server/handlers/encoded_texts.h"
#include "server/handlers/prediction_places.h"
#include "server/handlers/replies.h"

namespace lmserve {
namespace {

// Returns how many best words each context gets: at most the whole vocabulary,
// and none if the request gives the words itself.
absl::StatusOr<size_t> CheckedK(const lm::v1::PredictRequest& request,
                                const Limits& limits, WordId vocabulary) {
  if (!request.words().empty()) return 0;
  const uint64_t k = std::min<uint64_t>(
      request.k() == 0 ? kDefaultBestWords : request.k(), vocabulary);
  absl::Status status = CheckLimit(
      "k times contexts", k * request.contexts_size(), limits.predictions);
  if (!status.ok()) return status;
  return k;
}

bool IncludesUnknown(const lm::v1::PredictRequest& request) {
  return !request.has_include_unknown() || request.include_unknown();
}

// Adds a prediction for each row of `best`, which has `width` words: the first
// k that are possible and, if the request says so, are not <unk>.
void AddPredictions(const Vocabulary& vocabulary,
                    const std::vector<ScoredWord>& best, size_t width, size_t k,
                    const lm::v1::PredictRequest& request,
                    lm::v1::PredictResponse* response) {
  for (int i = 0; i < request.contexts_size(); ++i) {
    lm::v1::NextWords* prediction = response->add_predictions();
    for (size_t j = i * width; j < (i + 1) * width; ++j) {
      const ScoredWord& word = best[j];
      if (prediction->words_size() == static_cast<int>(k)) break;
      if (word.word == vocabulary.unknown() && !IncludesUnknown(request)) {
        continue;
      }
      if (std::isinf(word.log_prob)) continue;
      AddNextWord(vocabulary, word, prediction);
    }
  }
}

// Adds the k best words of each place. Reserves the answer's memory.
Task<absl::Status> PredictBest(const Vocabulary& vocabulary,
                               PredictionPlaces& places, size_t k,
                               const lm::v1::PredictRequest& request,
                               Budget::Reservation* answer,
                               lm::v1::PredictResponse* response) {
  const size_t fetched =
      std::min<size_t>(k + !IncludesUnknown(request), vocabulary.size());
  const size_t count = request.contexts_size();
  uint64_t bytes = fetched * count * (sizeof(ScoredWord) + kReplyWordBytes);
  absl::Status status = answer->Resize("answer bytes", bytes);
  if (!status.ok()) co_return status;
  const absl::StatusOr<std::vector<ScoredWord>> best =
      co_await places.Best(fetched);
  if (!best.ok()) co_return best.status();
  for (const ScoredWord& word : *best) {
    bytes += vocabulary.word(word.word).size();
  }
  status = answer->Resize("answer bytes", bytes);
  if (!status.ok()) co_return status;
  AddPredictions(vocabulary, *best, fetched, k, request, response);
  co_return absl::OkStatus();
}

// Returns the size of the longest of the words, in bytes.
size_t LongestWord(const Vocabulary& vocabulary,
                   const std::vector<WordId>& words) {
  size_t longest = 0;
  for (WordId id : words) {
    longest = std::max(longest, vocabulary.word(id).size());
  }
  return longest;
}

// Returns the words that begin with the request's prefix and may be predicted.
std::vector<WordId> WordsWithPrefix(const lm::v1::PredictRequest& request,
                                    const AnyModel& model) {
  const Vocabulary& vocabulary = model.vocabulary();
  std::vector<WordId> ids;
  for (WordId id = 0; id < vocabulary.size(); ++id) {
    if (!absl::StartsWith(vocabulary.word(id), request.prefix())) continue;
    if (id == vocabulary.begin_sentence()) continue;
    if (id == vocabulary.end_sentence() && !model.predicts_end()) continue;
    if (id == vocabulary.unknown() && !IncludesUnknown(request)) continue;
    ids.push_back(id);
  }
  return ids;
}

// Adds the k best of the words that begin with the prefix, for each of `count`
// places. Reserves the memory of the search and of the answer.
Task<absl::Status> PredictWithPrefix(const AnyModel& model,
                                     PredictionPlaces& places, size_t k,
                                     const lm::v1::PredictRequest& request,
                                     Budget::Reservation* answer,
                                     lm::v1::PredictResponse* response) {
  const Vocabulary& vocabulary = model.vocabulary();
  const std::vector<WordId> words = WordsWithPrefix(request, model);
  const size_t count = request.contexts_size();
  k = std::min(k, words.size());
  const uint64_t bytes = words.size() * (sizeof(WordId) + sizeof(ScoredWord)) +
                         count * k *
                             (sizeof(ScoredWord) + kReplyWordBytes +
                              LongestWord(vocabulary, words));
  absl::Status status = answer->Resize("answer bytes", bytes);
  if (!status.ok()) co_return status;
  const absl::StatusOr<std::vector<ScoredWord>> best =
      co_await places.BestOf(words, k);
  if (!best.ok()) co_return best.status();
  AddPredictions(vocabulary, *best, k, k, request, response);
  co_return absl::OkStatus();
}

// Returns the ids of the words that the request gives. </s> may be among them
// if the model predicts it.
absl::StatusOr<std::vector<WordId>> GivenWords(
    const lm::v1::PredictRequest& request, const AnyModel& model) {
  const Vocabulary& vocabulary = model.vocabulary();
  std::vector<WordId> ids;
  for (int i = 0; i < request.words_size(); ++i) {
    const std::string& word = request.words(i);
    const std::string field = absl::StrCat("words[", i, "]");
    if (!IsWord(word)) {
      return InvalidField(field, "expected a word without white space");
    }
    ids.push_back(vocabulary.Find(word));
    if (ids.back() == vocabulary.begin_sentence()) {
      return InvalidField(field,
                          "expected a word other than <s>, which is never "
                          "predicted");
    }
    if (ids.back() == vocabulary.end_sentence() && !model.predicts_end()) {
      return InvalidField(field,
                          "expected a word other than </s>, which is never "
                          "predicted in a gap");
    }
  }
  return ids;
}

// Adds the given words, with ln P of each, for each of `count` places. Reserves
// the answer's memory.
Task<absl::Status> PredictGiven(const Vocabulary& vocabulary,
                                PredictionPlaces& places,
                                const std::vector<WordId>& ids, size_t count,
                                Budget::Reservation* answer,
                                lm::v1::PredictResponse* response) {
  uint64_t bytes = 0;  // of the answer to one context
  for (WordId id : ids) {
    bytes += sizeof(float) + kReplyWordBytes + vocabulary.word(id).size();
  }
  absl::Status status = answer->Resize("answer bytes", count * bytes);
  if (!status.ok()) co_return status;
  const absl::StatusOr<std::vector<float>> log_probs =
      co_await places.Rate(ids);
  if (!log_probs.ok()) co_return log_probs.status();
  for (size_t i = 0; i < log_probs->size(); i += ids.size()) {
    lm::v1::NextWords* prediction = response->add_predictions();
    for (size_t j = 0; j < ids.size(); ++j) {
      AddNextWord(vocabulary, {ids[j], (*log_probs)[i + j]}, prediction);
    }
  }
  co_return absl::OkStatus();
}

// Checks how much the request asks for, and that the model can do it.
absl::Status CheckRequest(const lm::v1::PredictRequest& request,
                          const LoadedVersion& model, const Limits& limits) {
  if (model.model().kind() != ModelKind::kLeftToRight &&
      model.model().kind() != ModelKind::kBidirectional) {
    return CannotDo("model", model, "predict");
  }
  if (request.contexts().empty()) {
    return InvalidField("contexts", "expected a context, found none");
  }
  absl::Status status =
      CheckLimit("contexts", request.contexts_size(), limits.texts);
  if (!status.ok()) return status;
  if (!request.suffixes().empty()) {
    if (model.model().kind() != ModelKind::kBidirectional) {
      return CannotDo("suffixes", model, "read what comes after a gap");
    }
    if (request.suffixes_size() != request.contexts_size()) {
      return InvalidField(
          "suffixes", absl::StrCat("expected none, or one for each of ",
                                   request.contexts_size(), " contexts, found ",
                                   request.suffixes_size()));
    }
  }
  if (!request.prefix().empty() && !request.words().empty()) {
    return InvalidField("prefix",
                        "expected none, because the request has words, found "
                        "one");
  }
  return CheckLimit("words times contexts",
                    uint64_t(request.words_size()) * request.contexts_size(),
                    limits.predictions);
}

// Adds the contexts, then the suffixes.
absl::Status AddTexts(const lm::v1::PredictRequest& request,
                      EncodedTexts* texts) {
  for (const auto& [field, list] :
       {std::pair{"contexts", &request.contexts()},
        std::pair{"suffixes", &request.suffixes()}}) {
    for (int i = 0; i < list->size(); ++i) {
      absl::Status status =
          texts->Add(list->at(i), field, i, {.may_be_empty = true});
      if (!status.ok()) return status;
    }
  }
  return absl::OkStatus();
}

}  // namespace

Task<absl::Status> HandlePredict(const ServingContext& serving, Call& call,
                                 const lm::v1::PredictRequest& request,
                                 lm::v1::PredictResponse* response) {
  const absl::StatusOr<ModelHandle> handle =
      FindModel(serving, call, request.model());
  if (!handle.ok()) co_return handle.status();
  const LoadedVersion& loaded = **handle;
  absl::Status status = CheckRequest(request, loaded, serving.limits);
  if (!status.ok()) co_return status;
  const AnyModel& model = loaded.model();
  const Vocabulary& vocabulary = model.vocabulary();
  const absl::StatusOr<size_t> k =
      CheckedK(request, serving.limits, vocabulary.size());
  if (!k.ok()) co_return k.status();
  const absl::StatusOr<std::vector<WordId>> given = GivenWords(request, model);
  if (!given.ok()) co_return given.status();
  EncodedTexts texts(vocabulary, serving.limits);
  status = AddTexts(request, &texts);
  if (!status.ok()) co_return status;

  Budget::Reservation state_bytes(serving.budgets.state_bytes);
  if (model.kind() == ModelKind::kLeftToRight) {
    status = state_bytes.Resize("contexts: bytes of their states",
                                (request.contexts_size() + size_t{1}) *
                                    model.left_to_right()->state_size());
    if (!status.ok()) co_return status;
  }

  Budget::Reservation answer(serving.budgets.answer_bytes);
  SetModelVersion(loaded, response->mutable_model());
  const std::unique_ptr<PredictionPlaces> places = MakePredictionPlaces(
      serving, call, loaded, texts, request.contexts_size());
  if (!request.prefix().empty()) {
    status = co_await PredictWithPrefix(model, *places, *k, request, &answer,
                                        response);
  } else if (given->empty()) {
    status = co_await PredictBest(vocabulary, *places, *k, request, &answer,
                                  response);
  } else {
    status = co_await PredictGiven(vocabulary, *places, *given,
                                   request.contexts_size(), &answer, response);
  }
  co_return status;
}

}  // namespace lmserve
