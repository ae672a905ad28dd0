#include "server/predict.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/encoder.h"
#include "server/errors.h"
#include "server/score.h"

namespace lmserve {
namespace {

constexpr uint32_t kDefaultK = 10;

// The states after some contexts: (contexts, state_size), row by row.
class States {
 public:
  States(const LanguageModel& model, const Encoder& contexts)
      : bytes_(contexts.size() * model.state_size()) {
    std::vector<std::byte> start(model.state_size());
    model.Start(start.data());
    std::vector<LanguageModel::Query> batch;
    for (size_t i = 0; i < contexts.size(); ++i) {
      std::byte* row = bytes_.data() + i * model.state_size();
      rows_.push_back(row);
      batch.push_back({start.data(), contexts.words(i), row, {}});
    }
    model.Score(batch);
  }

  absl::Span<const std::byte* const> rows() const { return rows_; }

 private:
  std::vector<std::byte> bytes_;
  std::vector<const std::byte*> rows_;
};

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

void PredictBest(const LanguageModel& model, const States& states, size_t k,
                 bool exclude_unknown, lm::v1::PredictResponse* response) {
  const Vocabulary& vocabulary = model.vocabulary();
  const size_t asked = std::min<size_t>(k + exclude_unknown, vocabulary.size());
  std::vector<ScoredWord> best(states.rows().size() * asked);
  model.TopK(states.rows(), asked, absl::MakeSpan(best));
  for (size_t i = 0; i < states.rows().size(); ++i) {
    lm::v1::NextWords* prediction = response->add_predictions();
    for (size_t j = i * asked; j < (i + 1) * asked; ++j) {
      if (prediction->words_size() == static_cast<int>(k)) break;
      if (exclude_unknown && best[j].word == vocabulary.unknown()) continue;
      if (std::isinf(best[j].log_prob)) continue;
      AddWord(vocabulary, best[j], prediction);
    }
  }
}

// The ids of the words to rate; </s> may be among them.
absl::StatusOr<std::vector<WordId>> GivenWords(
    const lm::v1::PredictRequest& request, const Vocabulary& vocabulary) {
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
  }
  return ids;
}

void PredictGiven(const LanguageModel& model, const States& states,
                  const std::vector<WordId>& ids,
                  lm::v1::PredictResponse* response) {
  std::vector<float> log_probs(states.rows().size() * ids.size());
  std::vector<LanguageModel::Query> batch;
  for (size_t i = 0; i < log_probs.size(); ++i) {
    batch.push_back({states.rows()[i / ids.size()],
                     {&ids[i % ids.size()], 1},
                     nullptr,
                     {&log_probs[i], 1}});
  }
  model.Score(batch);
  for (size_t i = 0; i < states.rows().size(); ++i) {
    lm::v1::NextWords* prediction = response->add_predictions();
    for (size_t j = 0; j < ids.size(); ++j) {
      AddWord(model.vocabulary(), {ids[j], log_probs[i * ids.size() + j]},
              prediction);
    }
  }
}

}  // namespace

absl::Status Predict(const ModelStore& store, const Limits& limits,
                     const lm::v1::PredictRequest& request,
                     lm::v1::PredictResponse* response) {
  const absl::StatusOr<ModelHandle> handle = store.Get(request.model());
  if (!handle.ok()) return handle.status();
  if (request.contexts().empty()) {
    return InvalidField("contexts", "expected a context, found none");
  }
  absl::Status status =
      CheckLimit("contexts", request.contexts_size(), limits.texts);
  if (!status.ok()) return status;
  if ((*handle)->model().left_to_right() == nullptr) {
    return CannotDo("model", **handle, "predict the next word");
  }
  const LanguageModel& model = *(*handle)->model().left_to_right();
  const absl::StatusOr<size_t> k =
      CheckedK(request, limits, model.vocabulary().size());
  if (!k.ok()) return k.status();
  status = CheckLimit("words times contexts",
                      uint64_t(request.words_size()) * request.contexts_size(),
                      limits.predictions);
  if (!status.ok()) return status;
  const absl::StatusOr<std::vector<WordId>> given =
      GivenWords(request, model.vocabulary());
  if (!given.ok()) return given.status();
  Encoder contexts(model.vocabulary(), limits);
  for (int i = 0; i < request.contexts_size(); ++i) {
    status = contexts.Add(request.contexts(i), "contexts", i,
                          {.may_be_empty = true});
    if (!status.ok()) return status;
  }

  SetModel(**handle, response->mutable_model());
  const States states(model, contexts);
  if (given->empty()) {
    PredictBest(model, states, *k, request.exclude_unknown(), response);
  } else {
    PredictGiven(model, states, *given, response);
  }
  return absl::OkStatus();
}

}  // namespace lmserve
