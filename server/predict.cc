#include "server/predict.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/encoder.h"
#include "server/errors.h"
#include "server/score.h"

namespace lmserve {
namespace {

constexpr uint32_t kDefaultK = 10;

// Where words are to be predicted: after the contexts or, if the model is
// bidirectional, between them and their suffixes.
class Places {
 public:
  virtual ~Places() = default;

  // As TopK() and Fill() do.
  virtual void TopK(size_t k, absl::Span<ScoredWord> best) const = 0;

  // ln P of the words in each place, (places, words).
  virtual std::vector<float> Rate(absl::Span<const WordId> words) const = 0;
};

class Contexts final : public Places {
 public:
  // The texts are the contexts.
  Contexts(const LanguageModel& model, const Encoder& texts)
      : model_(model), bytes_(texts.size() * model.state_size()) {
    std::vector<std::byte> start(model.state_size());
    model.Start(start.data());
    std::vector<LanguageModel::Query> batch;
    for (size_t i = 0; i < texts.size(); ++i) {
      std::byte* row = bytes_.data() + i * model.state_size();
      states_.push_back(row);
      batch.push_back({start.data(), texts.words(i), row, {}});
    }
    model.Score(batch);
  }

  void TopK(size_t k, absl::Span<ScoredWord> best) const override {
    model_.TopK(states_, k, best);
  }

  std::vector<float> Rate(absl::Span<const WordId> words) const override {
    std::vector<float> log_probs(states_.size() * words.size());
    std::vector<LanguageModel::Query> batch;
    for (size_t i = 0; i < log_probs.size(); ++i) {
      batch.push_back({states_[i / words.size()],
                       words.subspan(i % words.size(), 1),
                       nullptr,
                       {&log_probs[i], 1}});
    }
    model_.Score(batch);
    return log_probs;
  }

 private:
  const LanguageModel& model_;
  std::vector<std::byte> bytes_;  // (contexts, state_size)
  std::vector<const std::byte*> states_;
};

class Gaps final : public Places {
 public:
  // The texts are the contexts, then their suffixes, unless all are empty.
  Gaps(const BidirectionalModel& model, const Encoder& texts, size_t contexts)
      : model_(model) {
    const bool suffixes = texts.size() > contexts;
    for (size_t i = 0; i < contexts; ++i) {
      gaps_.push_back({texts.words(i), {}});
      if (suffixes) gaps_.back().after = texts.words(contexts + i);
    }
  }

  void TopK(size_t k, absl::Span<ScoredWord> best) const override {
    model_.Fill(gaps_, k, best);
  }

  std::vector<float> Rate(absl::Span<const WordId> words) const override {
    std::vector<float> log_probs(gaps_.size() * words.size());
    model_.Rate(gaps_, words, log_probs.data());
    return log_probs;
  }

 private:
  const BidirectionalModel& model_;
  std::vector<BidirectionalModel::Gap> gaps_;
};

std::unique_ptr<const Places> MakePlaces(const AnyModel& model,
                                         const Encoder& texts,
                                         size_t contexts) {
  if (model.bidirectional() != nullptr) {
    return std::make_unique<Gaps>(*model.bidirectional(), texts, contexts);
  }
  return std::make_unique<Contexts>(*model.left_to_right(), texts);
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

void PredictBest(const Vocabulary& vocabulary, const Places& places, size_t k,
                 const lm::v1::PredictRequest& request,
                 lm::v1::PredictResponse* response) {
  const bool exclude_unknown = request.exclude_unknown();
  const size_t asked = std::min<size_t>(k + exclude_unknown, vocabulary.size());
  const size_t count = request.contexts_size();
  std::vector<ScoredWord> best(count * asked);
  places.TopK(asked, absl::MakeSpan(best));
  for (size_t i = 0; i < count; ++i) {
    lm::v1::NextWords* prediction = response->add_predictions();
    for (size_t j = i * asked; j < (i + 1) * asked; ++j) {
      if (prediction->words_size() == static_cast<int>(k)) break;
      if (exclude_unknown && best[j].word == vocabulary.unknown()) continue;
      if (std::isinf(best[j].log_prob)) continue;
      AddWord(vocabulary, best[j], prediction);
    }
  }
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
    if (ids.back() == vocabulary.end_sentence() && !PredictsEnd(model)) {
      return InvalidField(field, "</s> is never predicted in a gap");
    }
  }
  return ids;
}

void PredictGiven(const Vocabulary& vocabulary, const Places& places,
                  const std::vector<WordId>& ids,
                  lm::v1::PredictResponse* response) {
  const std::vector<float> log_probs = places.Rate(ids);
  for (size_t i = 0; i < log_probs.size(); i += ids.size()) {
    lm::v1::NextWords* prediction = response->add_predictions();
    for (size_t j = 0; j < ids.size(); ++j) {
      AddWord(vocabulary, {ids[j], log_probs[i + j]}, prediction);
    }
  }
}

// Checks how much is asked for, and that the model can do it.
absl::Status CheckRequest(const lm::v1::PredictRequest& request,
                          const LoadedModel& model, const Limits& limits) {
  if (request.contexts().empty()) {
    return InvalidField("contexts", "expected a context, found none");
  }
  absl::Status status =
      CheckLimit("contexts", request.contexts_size(), limits.texts);
  if (!status.ok()) return status;
  if (!request.suffixes().empty()) {
    if (model.model().bidirectional() == nullptr) {
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
absl::Status AddTexts(const lm::v1::PredictRequest& request, Encoder* texts) {
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

absl::Status Predict(const ModelStore& store, const Limits& limits,
                     const lm::v1::PredictRequest& request,
                     lm::v1::PredictResponse* response) {
  const absl::StatusOr<ModelHandle> handle = store.Get(request.model());
  if (!handle.ok()) return handle.status();
  absl::Status status = CheckRequest(request, **handle, limits);
  if (!status.ok()) return status;
  const AnyModel& model = (*handle)->model();
  const Vocabulary& vocabulary = model.vocabulary();
  const absl::StatusOr<size_t> k = CheckedK(request, limits, vocabulary.size());
  if (!k.ok()) return k.status();
  const absl::StatusOr<std::vector<WordId>> given = GivenWords(request, model);
  if (!given.ok()) return given.status();
  Encoder texts(vocabulary, limits);
  status = AddTexts(request, &texts);
  if (!status.ok()) return status;

  SetModel(**handle, response->mutable_model());
  const std::unique_ptr<const Places> places =
      MakePlaces(model, texts, request.contexts_size());
  if (given->empty()) {
    PredictBest(vocabulary, *places, *k, request, response);
  } else {
    PredictGiven(vocabulary, *places, *given, response);
  }
  return absl::OkStatus();
}

}  // namespace lmserve
