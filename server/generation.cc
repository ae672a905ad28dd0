#include "server/generation.h"

#include <cmath>
#include <random>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "models/text.h"
#include "server/encoder.h"
#include "server/errors.h"
#include "server/score.h"

namespace lmserve {
namespace {

constexpr uint32_t kDefaultMaxWords = 100;

absl::Status CheckRange(absl::string_view field, bool in_range,
                        absl::string_view expected, double found) {
  if (in_range && std::isfinite(found)) return absl::OkStatus();
  return InvalidField(field,
                      absl::StrCat("expected ", expected, ", found ", found));
}

absl::StatusOr<SamplerOptions> ParseSampler(
    const lm::v1::GenerateRequest& request) {
  SamplerOptions options;
  options.top_k = request.top_k();
  options.allow_unknown = request.allow_unknown();
  if (request.has_temperature()) options.temperature = request.temperature();
  if (request.has_top_p()) options.top_p = request.top_p();
  if (request.has_repetition_penalty()) {
    options.repetition_penalty = request.repetition_penalty();
  }
  for (const absl::Status& status :
       {CheckRange("temperature", options.temperature >= 0,
                   "a number from 0 up", options.temperature),
        CheckRange("top_p", options.top_p > 0 && options.top_p <= 1,
                   "a number in (0, 1]", options.top_p),
        CheckRange("repetition_penalty", options.repetition_penalty > 0,
                   "a positive number", options.repetition_penalty)}) {
    if (!status.ok()) return status;
  }
  return options;
}

}  // namespace

absl::StatusOr<Generation::Options> Generation::ParseOptions(
    const LanguageModel& model, const Limits& limits,
    const lm::v1::GenerateRequest& request) {
  const absl::StatusOr<SamplerOptions> sampler = ParseSampler(request);
  if (!sampler.ok()) return sampler.status();
  Options options;
  options.sampler = *sampler;
  options.seed =
      request.has_seed() ? request.seed() : uint64_t{std::random_device()()};
  options.max_words =
      request.max_words() == 0 ? kDefaultMaxWords : request.max_words();
  for (const absl::Status& status :
       {CheckLimit("max_words", options.max_words, limits.generated_words),
        CheckLimit("top_k", request.top_k(), limits.predictions),
        CheckLimit("stop_words", request.stop_words_size(),
                   limits.stop_words)}) {
    if (!status.ok()) return status;
  }
  for (int i = 0; i < request.stop_words_size(); ++i) {
    const std::string& word = request.stop_words(i);
    if (!IsWord(word)) {
      return InvalidField(absl::StrCat("stop_words[", i, "]"),
                          "expected a word without white space");
    }
    // A word that the model does not know is never drawn.
    if (model.vocabulary().Contains(word)) {
      options.stop_words.insert(model.vocabulary().Find(word));
    }
  }
  return options;
}

absl::StatusOr<std::unique_ptr<Generation>> Generation::Start(
    const Serving& serving, Call& call,
    const lm::v1::GenerateRequest& request) {
  absl::StatusOr<ModelHandle> handle = serving.store.Get(request.model());
  if (!handle.ok()) return handle.status();
  const LanguageModel* model = (*handle)->model().left_to_right();
  if (model == nullptr) return CannotDo("model", **handle, "generate");
  const absl::StatusOr<Options> options =
      ParseOptions(*model, serving.limits, request);
  if (!options.ok()) return options.status();
  Encoder prompt(model->vocabulary(), serving.limits);
  absl::Status status =
      prompt.Add(request.prompt(), "prompt", -1, {.may_be_empty = true});
  if (!status.ok()) return status;
  auto generation = absl::WrapUnique(new Generation(
      serving, call, *std::move(handle), *options, prompt.words(0)));
  status = generation->words_.Resize("max_words", options->max_words);
  if (!status.ok()) return status;
  return generation;
}

Generation::Generation(const Serving& serving, Call& call, ModelHandle handle,
                       const Options& options, absl::Span<const WordId> prompt)
    : serving_(serving),
      call_(call),
      handle_(std::move(handle)),
      language_model_(*handle_->model().left_to_right()),
      options_(options),
      words_(serving.budgets.generated_words),
      sampler_(language_model_.vocabulary().unknown(), options.sampler,
               options.seed),
      state_(language_model_.state_size()),
      unread_(prompt.begin(), prompt.end()) {
  language_model_.Start(state_.data());
  for (WordId word : prompt) sampler_.Use(word);
}

Task<absl::Status> Generation::Draw() {
  const LanguageModel::Query query = {
      state_.data(), unread_, state_.data(), {}};
  const std::byte* state = state_.data();
  const auto draw = [this](size_t, absl::Span<const float> log_probs) {
    drawn_ = sampler_.DrawFromAll(log_probs);
  };
  std::vector<ScoredWord> best(
      sampler_.best_wanted(language_model_.vocabulary().size()));
  ModelWork work = {.model = *handle_, .states = {&state, 1}};
  if (!unread_.empty()) work.queries = {&query, 1};
  if (best.empty()) {
    work.visit.emplace(draw);
  } else {
    work.k = best.size();
    work.best = absl::MakeSpan(best);
  }
  absl::Status status = co_await serving_.batcher.Run(call_, work);
  if (status.ok() && !best.empty()) drawn_ = sampler_.DrawFromBest(best);
  unread_.clear();
  co_return status;
}

Task<absl::StatusOr<bool>> Generation::Next(
    lm::v1::GenerateResponse* response) {
  if (done_) co_return false;
  if (word_count_ == options_.max_words) {
    Finish(End::MAX_WORDS, response);
    co_return true;
  }
  absl::Status status = co_await Draw();
  if (!status.ok()) co_return status;
  if (!drawn_.has_value()) {
    Finish(End::NO_WORD, response);
  } else if (drawn_->word == language_model_.vocabulary().end_sentence()) {
    log_prob_ += drawn_->log_prob;
    Finish(End::END_OF_SENTENCE, response);
  } else if (options_.stop_words.contains(drawn_->word)) {
    Finish(End::STOP_WORD, response);
  } else {
    SetWord(response);
  }
  co_return true;
}

void Generation::SetWord(lm::v1::GenerateResponse* response) {
  if (first_) SetModel(*handle_, response->mutable_model());
  first_ = false;
  log_prob_ += drawn_->log_prob;
  ++word_count_;
  unread_ = {drawn_->word};
  sampler_.Use(drawn_->word);
  const absl::string_view text =
      language_model_.vocabulary().word(drawn_->word);
  response->set_word(text.data(), text.size());
  response->set_id(drawn_->word);
  response->set_log_prob(drawn_->log_prob);
}

void Generation::Finish(End::Reason reason,
                        lm::v1::GenerateResponse* response) {
  if (first_) SetModel(*handle_, response->mutable_model());
  done_ = true;
  End* end = response->mutable_end();
  end->set_reason(reason);
  end->set_word_count(word_count_);
  end->set_log_prob(log_prob_);
  end->set_seed(options_.seed);
}

}  // namespace lmserve
