// SPDX-License-Identifier: Apache-2.0
#include "local/python/kenlm_model.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "models/find_words.h"
#include "models/text.h"

namespace lmserve::python {
namespace {

constexpr double kLog10OfE = 0.43429448190325182765;
constexpr float kLog10OfImpossible = -99;

// Bytes 9 to 13 and the space.
bool IsKenlmSpace(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

template <typename Visit>
void ForEachKenlmWord(absl::string_view text, const Visit& visit) {
  for (size_t i = 0; i < text.size();) {
    while (i < text.size() && IsKenlmSpace(text[i])) ++i;
    const size_t begin = i;
    i = FindSpace(text, i);
    while (i < text.size() && text[i] == '\0') i = FindSpace(text, i + 1);
    if (i > begin) visit(text.substr(begin, i - begin));
  }
}

}  // namespace

size_t CountKenlmWords(absl::string_view text) {
  size_t words = 0;
  ForEachKenlmWord(text, [&](absl::string_view) { ++words; });
  return words;
}

absl::StatusOr<KenlmModel> KenlmModel::Create(
    std::shared_ptr<const LocalModel> model) {
  if (model->model().left_to_right() == nullptr) {
    return absl::FailedPreconditionError(absl::StrCat(
        "model '", model->name(), "': expected a left-to-right model, found ",
        KindName(model->model().kind())));
  }
  return KenlmModel(std::move(model));
}

KenlmModel::KenlmModel(std::shared_ptr<const LocalModel> model)
    : model_(std::move(model)),
      reader_(model_->model().left_to_right()),
      vocabulary_(&reader_->vocabulary()),
      ngram_(dynamic_cast<const NgramModel*>(reader_)),
      begin_(vocabulary_->begin_sentence()),
      end_(vocabulary_->end_sentence()),
      unknown_(vocabulary_->unknown()),
      state_size_(reader_->state_size()),
      fingerprint_(model_->fingerprint()) {
  // Other rules than that of ARPA files have no back-off weights.
  if (ngram_ != nullptr && ngram_->rule() != UnseenRule::kBackOff) {
    ngram_ = nullptr;
  }
}

float KenlmModel::Log10(float natural) {
  return std::isinf(natural) ? kLog10OfImpossible
                             : static_cast<float>(natural * kLog10OfE);
}

void KenlmModel::WriteStart(State* state) const {
  reader_->Start(state->Resize(fingerprint_, state_size_));
  if (ngram_ != nullptr) {
    state->SetContexts(*ngram_, fingerprint_,
                       ngram_->ContextsOf(state->data()));
  }
}

absl::Status KenlmModel::WriteEmpty(State* state) const {
  if (reader_->StartEmpty(state->Resize(fingerprint_, state_size_))) {
    return absl::OkStatus();
  }
  *state = State();
  return absl::FailedPreconditionError(
      absl::StrCat("model '", model_->name(),
                   "' predicts words only after <s>: expected a "
                   "state that starts with BeginSentenceWrite()"));
}

absl::StatusOr<FullScore> KenlmModel::Read(const State& in, WordId word,
                                           State* out) const {
  const bool is_empty = in.size() == 0;
  if (!is_empty && (in.model() != fingerprint_ || in.size() != state_size_)) {
    return absl::InvalidArgumentError(
        "in_state: expected a state of this model, found one of another model");
  }
  if (ngram_ != nullptr) {
    NgramModel::Contexts read;  // none: nothing was read
    const NgramModel::Contexts* before = &read;
    if (in.contexts().has_value()) {
      before = &*in.contexts();
    } else if (!is_empty) {
      read = ngram_->ContextsOf(in.data());
    }
    float begin_log10 = 0;
    if (word == begin_) {
      begin_log10 = static_cast<float>(
          model_->begin_log10() + ngram_->BackoffWeight(*before) * kLog10OfE);
    }
    const NgramModel::Step step =
        out->ReadWord(*ngram_, fingerprint_, *before, word);
    return FullScore{word == begin_ ? begin_log10 : Log10(step.log_prob),
                     step.order, word == unknown_};
  }
  State before = in;
  if (is_empty) {
    absl::Status status = WriteEmpty(&before);
    if (!status.ok()) return status;
  }
  float log_prob = 0;
  uint8_t length = 0;
  LanguageModel::Query query = {before.data(),
                                {&word, 1},
                                out->Resize(fingerprint_, state_size_),
                                {&log_prob, 1}};
  if (reader_->has_ngram_lengths()) query.ngram_lengths = {&length, 1};
  reader_->Score({&query, 1});
  return FullScore{word == begin_ ? static_cast<float>(model_->begin_log10())
                                  : Log10(log_prob),
                   length, word == unknown_};
}

bool KenlmModel::Split(absl::string_view text,
                       std::vector<WordId>* words) const {
  WordFinder finder(*vocabulary_, words);
  ForEachKenlmWord(text, [&](absl::string_view word) { finder.Add(word); });
  finder.Finish();
  return std::find(words->begin(), words->end(), begin_) != words->end();
}

absl::StatusOr<std::vector<FullScore>> KenlmModel::ReadText(
    absl::string_view text, bool begin, bool end) const {
  std::vector<WordId> words;
  const bool has_begin = Split(text, &words);
  if (end) words.push_back(end_);
  State state;
  if (begin) {
    WriteStart(&state);
  } else if (absl::Status status = WriteEmpty(&state); !status.ok()) {
    return status;
  }
  std::vector<FullScore> scores;
  scores.reserve(words.size());
  if (has_begin) {
    for (WordId word : words) {
      absl::StatusOr<FullScore> score = Read(state, word, &state);
      if (!score.ok()) return score.status();
      scores.push_back(*score);
    }
    return scores;
  }
  std::vector<float> log_probs(words.size());
  std::vector<uint8_t> lengths;
  LanguageModel::Query query = {state.data(), words, nullptr,
                                absl::MakeSpan(log_probs)};
  if (reader_->has_ngram_lengths()) {
    lengths.resize(words.size());
    query.ngram_lengths = absl::MakeSpan(lengths);
  }
  reader_->Score({&query, 1});
  for (size_t i = 0; i < words.size(); ++i) {
    scores.push_back({Log10(log_probs[i]), lengths.empty() ? 0 : lengths[i],
                      words[i] == unknown_});
  }
  return scores;
}

absl::StatusOr<float> KenlmModel::Score(absl::string_view text, bool begin,
                                        bool end) const {
  std::vector<WordId> words;
  float sum = 0;
  if (Split(text, &words)) {  // <s> needs the file's value
    const absl::StatusOr<std::vector<FullScore>> scores =
        ReadText(text, begin, end);
    if (!scores.ok()) return scores.status();
    for (const FullScore& score : *scores) sum += score.log_prob;
    return sum;
  }
  if (end) words.push_back(end_);
  State state;
  if (begin) {
    WriteStart(&state);
  } else if (absl::Status status = WriteEmpty(&state); !status.ok()) {
    return status;
  }
  std::vector<float> log_probs(words.size());
  const LanguageModel::Query query = {state.data(), words, nullptr,
                                      absl::MakeSpan(log_probs)};
  reader_->Score({&query, 1});
  for (float log_prob : log_probs) sum += Log10(log_prob);
  return sum;
}

}  // namespace lmserve::python
