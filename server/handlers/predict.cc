#include "server/handlers/predict.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "models/text.h"
#include "server/call/status.h"
#include "server/handlers/cannot_do.h"
#include "server/handlers/encoded_texts.h"
#include "server/handlers/score.h"

namespace lmserve {
namespace {

constexpr uint32_t kDefaultK = 10;

// Where words are to be predicted: after contexts or, by a bidirectional model,
// in gaps.
class Places {
 public:
  virtual ~Places() = default;

  // The k best words of each place, (places, k).
  virtual Task<absl::StatusOr<std::vector<ScoredWord>>> Best(size_t k) = 0;

  // ln P of the words in each place, (places, words).
  virtual Task<absl::StatusOr<std::vector<float>>> Rate(
      absl::Span<const WordId> words) = 0;
};

class Contexts final : public Places {
 public:
  // The texts are the contexts.
  Contexts(const ServingContext& serving, Call& call,
           const LoadedVersion& loaded, const EncodedTexts& texts)
      : serving_(serving), call_(call), loaded_(loaded) {
    const LanguageModel& model = *loaded.model().left_to_right();
    start_.resize(model.state_size());
    model.Start(start_.data());
    bytes_.resize(texts.size() * model.state_size());
    for (size_t i = 0; i < texts.size(); ++i) {
      std::byte* row = bytes_.data() + i * model.state_size();
      states_.push_back(row);
      contexts_.push_back({start_.data(), texts.words(i), row, {}});
    }
  }

  Task<absl::StatusOr<std::vector<ScoredWord>>> Best(size_t k) override {
    std::vector<ScoredWord> best(states_.size() * k);
    const ModelWork work = {.model = loaded_,
                            .queries = contexts_,
                            .states = states_,
                            .k = k,
                            .best = absl::MakeSpan(best)};
    absl::Status status = co_await serving_.batcher.Run(call_, work);
    if (!status.ok()) co_return status;
    co_return best;
  }

  Task<absl::StatusOr<std::vector<float>>> Rate(
      absl::Span<const WordId> words) override {
    const ModelWork contexts = {.model = loaded_, .queries = contexts_};
    absl::Status status = co_await serving_.batcher.Run(call_, contexts);
    if (!status.ok()) co_return status;
    std::vector<float> log_probs(states_.size() * words.size());
    std::vector<LanguageModel::Query> batch;
    batch.reserve(log_probs.size());
    for (size_t i = 0; i < log_probs.size(); ++i) {
      batch.push_back({states_[i / words.size()],
                       words.subspan(i % words.size(), 1),
                       nullptr,
                       {&log_probs[i], 1}});
    }
    const ModelWork work = {.model = loaded_, .queries = batch};
    status = co_await serving_.batcher.Run(call_, work);
    if (!status.ok()) co_return status;
    co_return log_probs;
  }

 private:
  const ServingContext& serving_;
  Call& call_;
  const LoadedVersion& loaded_;
  std::vector<std::byte> start_;
  std::vector<std::byte> bytes_;  // (contexts, state_size)
  std::vector<const std::byte*> states_;
  std::vector<LanguageModel::Query> contexts_;
};

class Gaps final : public Places {
 public:
  // The texts are the contexts, then their suffixes, unless all are empty.
  Gaps(const ServingContext& serving, Call& call, const LoadedVersion& loaded,
       const EncodedTexts& texts, size_t contexts)
      : serving_(serving), call_(call), loaded_(loaded) {
    const bool suffixes = texts.size() > contexts;
    for (size_t i = 0; i < contexts; ++i) {
      gaps_.push_back({texts.words(i), {}});
      if (suffixes) gaps_.back().after = texts.words(contexts + i);
    }
  }

  Task<absl::StatusOr<std::vector<ScoredWord>>> Best(size_t k) override {
    std::vector<ScoredWord> best(gaps_.size() * k);
    absl::Status status = co_await ForEachGap([&](size_t i) {
      model().Fill({&gaps_[i], 1}, k, absl::MakeSpan(best).subspan(i * k, k));
    });
    if (!status.ok()) co_return status;
    co_return best;
  }

  Task<absl::StatusOr<std::vector<float>>> Rate(
      absl::Span<const WordId> words) override {
    std::vector<float> log_probs(gaps_.size() * words.size());
    absl::Status status = co_await ForEachGap([&](size_t i) {
      model().Rate({&gaps_[i], 1}, words, &log_probs[i * words.size()]);
    });
    if (!status.ok()) co_return status;
    co_return log_probs;
  }

 private:
  const BidirectionalModel& model() const {
    return *loaded_.model().bidirectional();
  }

  // One at a time, so that others have their turn between.
  Task<absl::Status> ForEachGap(absl::FunctionRef<void(size_t)> visit) {
    for (size_t i = 0; i < gaps_.size(); ++i) {
      const auto work = [&] { visit(i); };
      absl::Status status = co_await serving_.batcher.Run(
          call_, loaded_, gaps_[i].before.size() + gaps_[i].after.size() + 1,
          work);
      if (!status.ok()) co_return status;
    }
    co_return absl::OkStatus();
  }

  const ServingContext& serving_;
  Call& call_;
  const LoadedVersion& loaded_;
  std::vector<BidirectionalModel::Gap> gaps_;
};

std::unique_ptr<Places> MakePlaces(const ServingContext& serving, Call& call,
                                   const LoadedVersion& loaded,
                                   const EncodedTexts& texts, size_t contexts) {
  if (loaded.model().kind() == ModelKind::kBidirectional) {
    return std::make_unique<Gaps>(serving, call, loaded, texts, contexts);
  }
  return std::make_unique<Contexts>(serving, call, loaded, texts);
}

void AddWord(const Vocabulary& vocabulary, const ScoredWord& word,
             lm::v1::NextWords* prediction) {
  const absl::string_view text = vocabulary.word(word.word);
  prediction->add_words(text.data(), text.size());
  prediction->add_ids(word.word);
  prediction->add_log_probs(word.log_prob);
}

// How many next words to return for each context: none of the best, where the
// request gives the words itself.
absl::StatusOr<size_t> CheckedK(const lm::v1::PredictRequest& request,
                                const Limits& limits, WordId vocabulary) {
  if (!request.words().empty()) return 0;
  const uint64_t k = request.k() == 0 ? kDefaultK : request.k();
  if (k > vocabulary && request.k() > 0) {
    return InvalidField(
        "k", absl::StrCat("expected 1 to ", vocabulary,
                          ", the words of the vocabulary, ", "found ", k));
  }
  absl::Status status = CheckLimit(
      "k times contexts", k * request.contexts_size(), limits.predictions);
  if (!status.ok()) return status;
  return std::min<uint64_t>(k, vocabulary);
}

Task<absl::Status> PredictBest(const Vocabulary& vocabulary, Places& places,
                               size_t k, const lm::v1::PredictRequest& request,
                               lm::v1::PredictResponse* response) {
  const bool exclude_unknown = request.exclude_unknown();
  const size_t asked = std::min<size_t>(k + exclude_unknown, vocabulary.size());
  const size_t count = request.contexts_size();
  const absl::StatusOr<std::vector<ScoredWord>> best =
      co_await places.Best(asked);
  if (!best.ok()) co_return best.status();
  for (size_t i = 0; i < count; ++i) {
    lm::v1::NextWords* prediction = response->add_predictions();
    for (size_t j = i * asked; j < (i + 1) * asked; ++j) {
      const ScoredWord& word = (*best)[j];
      if (prediction->words_size() == static_cast<int>(k)) break;
      if (exclude_unknown && word.word == vocabulary.unknown()) continue;
      if (std::isinf(word.log_prob)) continue;
      AddWord(vocabulary, word, prediction);
    }
  }
  co_return absl::OkStatus();
}

// The ids of the words to rate; </s> may be among them if the model predicts
// it.
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
      return InvalidField(field, "<s> is never predicted");
    }
    if (ids.back() == vocabulary.end_sentence() && !model.predicts_end()) {
      return InvalidField(field, "</s> is never predicted in a gap");
    }
  }
  return ids;
}

Task<absl::Status> PredictGiven(const Vocabulary& vocabulary, Places& places,
                                const std::vector<WordId>& ids,
                                lm::v1::PredictResponse* response) {
  const absl::StatusOr<std::vector<float>> log_probs =
      co_await places.Rate(ids);
  if (!log_probs.ok()) co_return log_probs.status();
  for (size_t i = 0; i < log_probs->size(); i += ids.size()) {
    lm::v1::NextWords* prediction = response->add_predictions();
    for (size_t j = 0; j < ids.size(); ++j) {
      AddWord(vocabulary, {ids[j], (*log_probs)[i + j]}, prediction);
    }
  }
  co_return absl::OkStatus();
}

// Checks how much is asked for, and that the model can do it.
absl::Status CheckRequest(const lm::v1::PredictRequest& request,
                          const LoadedVersion& model, const Limits& limits) {
  if (model.model().kind() == ModelKind::kTranslation) {
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

Task<absl::Status> Predict(const ServingContext& serving, Call& call,
                           const lm::v1::PredictRequest& request,
                           lm::v1::PredictResponse* response) {
  const absl::StatusOr<ModelHandle> handle = serving.store.Get(request.model());
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
    status = state_bytes.Resize(
        "contexts, bytes of their states",
        request.contexts_size() * model.left_to_right()->state_size());
    if (!status.ok()) co_return status;
  }

  SetModel(loaded, response->mutable_model());
  const std::unique_ptr<Places> places =
      MakePlaces(serving, call, loaded, texts, request.contexts_size());
  if (given->empty()) {
    status = co_await PredictBest(vocabulary, *places, *k, request, response);
  } else {
    status = co_await PredictGiven(vocabulary, *places, *given, response);
  }
  co_return status;
}

}  // namespace lmserve
