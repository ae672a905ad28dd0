#include "server/handlers/generation.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "models/text.h"
#include "server/call/status.h"
#include "server/handlers/cannot_do.h"
#include "server/handlers/encoded_texts.h"
#include "server/handlers/score.h"

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

// A beam search draws nothing.
absl::Status CheckDrawsNothing(const lm::v1::GenerateRequest& request) {
  for (const auto& [field, is_set] :
       {std::pair{"temperature", request.has_temperature()},
        std::pair{"top_k", request.top_k() != 0},
        std::pair{"top_p", request.has_top_p()},
        std::pair{"repetition_penalty", request.has_repetition_penalty()},
        std::pair{"seed", request.has_seed()},
        std::pair{"stop_words", !request.stop_words().empty()}}) {
    if (is_set) return InvalidField(field, "expected none with a beam_search");
  }
  return absl::OkStatus();
}

absl::StatusOr<BeamSearchOptions> ParseBeamSearch(
    const lm::v1::GenerateRequest& request, const Limits& limits) {
  const lm::v1::BeamSearch& search = request.beam_search();
  absl::Status status = CheckDrawsNothing(request);
  if (status.ok()) {
    status = CheckRange("beam_search.size", search.size() > 0,
                        "a number from 1 up", search.size());
  }
  if (status.ok()) {
    status = CheckLimit("beam_search.size", search.size(), limits.beam);
  }
  if (status.ok()) {
    status =
        CheckRange("beam_search.best", search.best() <= search.size(),
                   absl::StrCat("at most beam_search.size, ", search.size()),
                   search.best());
  }
  if (status.ok()) {
    status = CheckRange("beam_search.length_alpha", search.length_alpha() >= 0,
                        "a number from 0 up", search.length_alpha());
  }
  if (status.ok()) {
    status =
        CheckRange("beam_search.coverage_beta", search.coverage_beta() >= 0,
                   "a number from 0 up", search.coverage_beta());
  }
  if (!status.ok()) return status;
  BeamSearchOptions options;
  options.beam = search.size();
  options.length_alpha = search.length_alpha();
  options.coverage_beta = search.coverage_beta();
  options.allow_unknown = request.allow_unknown();
  return options;
}

// Coverage is that of a source by attention.
absl::Status CheckHasAttention(const LoadedVersion& loaded) {
  const TranslationModel* model = loaded.model().translation();
  if (model != nullptr && model->has_attention()) return absl::OkStatus();
  return InvalidField(
      "beam_search.coverage_beta",
      absl::StrCat("'", loaded.name(), "' has no attention: expected 0"));
}

void SetHypothesis(const Vocabulary& vocabulary,
                   const BeamSearch::Hypothesis& from, lm::v1::Hypothesis* to) {
  for (WordId word : from.words) {
    const absl::string_view text = vocabulary.word(word);
    to->add_words(text.data(), text.size());
  }
  to->mutable_ids()->Add(from.words.begin(), from.words.end());
  to->mutable_log_probs()->Add(from.log_probs.begin(), from.log_probs.end());
  to->set_log_prob(from.log_prob);
  to->set_score(from.score);
  to->set_ended(from.ended);
}

}  // namespace

absl::StatusOr<Generation::Options> Generation::ParseOptions(
    const LanguageModel& model, const Limits& limits,
    const lm::v1::GenerateRequest& request) {
  const absl::StatusOr<SamplerOptions> sampler = ParseSampler(request);
  if (!sampler.ok()) return sampler.status();
  Options options;
  if (request.has_beam_search()) {
    absl::StatusOr<BeamSearchOptions> search = ParseBeamSearch(request, limits);
    if (!search.ok()) return search.status();
    options.beam_search = *search;
    options.best = std::max(1u, request.beam_search().best());
  }
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
    const ServingContext& serving, Call& call,
    const lm::v1::GenerateRequest& request) {
  absl::StatusOr<ModelHandle> handle = serving.store.Get(request.model());
  if (!handle.ok()) return handle.status();
  if ((*handle)->model().kind() == ModelKind::kBidirectional) {
    return CannotDo("model", **handle, "generate");
  }
  const LanguageModel* model = (*handle)->model().word_by_word();
  absl::StatusOr<Options> options =
      ParseOptions(*model, serving.limits, request);
  if (!options.ok()) return options.status();
  if (options->beam_search.has_value()) {
    options->beam_search->max_words = options->max_words;
    if (options->beam_search->coverage_beta > 0) {
      absl::Status status = CheckHasAttention(**handle);
      if (!status.ok()) return status;
    }
  }
  std::vector<const lm::v1::Text*> sources;
  if (request.has_source()) sources.push_back(&request.source());
  std::optional<EncodedTexts> source;
  absl::Status status =
      EncodeSources("source", **handle, serving.limits, sources, &source);
  if (!status.ok()) return status;
  EncodedTexts prompt(model->vocabulary(), serving.limits);
  status = prompt.Add(request.prompt(), "prompt", -1, {.may_be_empty = true});
  if (!status.ok()) return status;
  auto generation = absl::WrapUnique(
      new Generation(serving, call, *std::move(handle), *options,
                     std::move(source), prompt.words(0)));
  status = generation->Reserve();
  if (!status.ok()) return status;
  return generation;
}

Generation::Generation(const ServingContext& serving, Call& call,
                       ModelHandle handle, const Options& options,
                       std::optional<EncodedTexts> source,
                       absl::Span<const WordId> prompt)
    : serving_(serving),
      call_(call),
      handle_(std::move(handle)),
      language_model_(*handle_->model().word_by_word()),
      options_(options),
      words_(serving.budgets.generated_words),
      state_bytes_(serving.budgets.state_bytes),
      source_(std::move(source)),
      sampler_(language_model_.vocabulary().unknown(), options.sampler,
               options.seed),
      state_(language_model_.state_size()),
      unread_(prompt.begin(), prompt.end()) {
  for (WordId word : prompt) sampler_.Use(word);
}

// A beam search has the states of its hypotheses before and after a step, and
// their attention, with what it adds up to.
absl::Status Generation::Reserve() {
  const uint64_t beam =
      options_.beam_search.has_value() ? options_.beam_search->beam : 1;
  absl::Status status = words_.Resize("max_words", options_.max_words * beam);
  if (!status.ok() || beam == 1) return status;
  return state_bytes_.Resize(
      "beam_search.size, bytes of its states",
      2 * beam *
          (language_model_.state_size() + WordsToLookAt() * sizeof(float)));
}

size_t Generation::WordsToLookAt() const {
  const bool looks = options_.beam_search.has_value() &&
                     options_.beam_search->coverage_beta > 0;
  return looks ? source_->words(0).size() + 1 : 0;
}

Task<absl::Status> Generation::Begin() {
  begun_ = true;
  if (!source_.has_value()) {
    language_model_.Start(state_.data());
    co_return absl::OkStatus();
  }
  absl::Status status = co_await ReadSources(serving_, call_, *handle_,
                                             *source_, 0, 1, &read_sources_);
  if (status.ok()) read_sources_[0]->Start(state_.data());
  co_return status;
}

// At once or, where each word's attention counts, word by word.
Task<absl::Status> Generation::ReadPrompt(std::vector<float>* looked_at) {
  std::vector<std::byte> next(state_.size());
  std::vector<float> attention(looked_at->size());
  const size_t at_once = attention.empty() ? unread_.size() : 1;
  for (size_t i = 0; i < unread_.size(); i += at_once) {
    const std::byte* state = state_.data();
    const LanguageModel::Query query = {
        state,
        absl::MakeConstSpan(unread_).subspan(i, at_once),
        next.data(),
        {}};
    ModelWork work = {.model = *handle_, .queries = {&query, 1}};
    if (!attention.empty()) {
      work.states = {&state, 1};
      work.attention = absl::MakeSpan(attention);
    }
    absl::Status status = co_await serving_.batcher.Run(call_, work);
    if (!status.ok()) co_return status;
    state_.swap(next);
    for (size_t j = 0; j < attention.size(); ++j) {
      (*looked_at)[j] += attention[j];
    }
  }
  co_return absl::OkStatus();
}

// The prompt is read first; a step of the search is one turn of the batcher.
Task<absl::Status> Generation::Search(lm::v1::GenerateResponse* response) {
  std::vector<float> looked_at(WordsToLookAt());
  absl::Status read = co_await ReadPrompt(&looked_at);
  if (!read.ok()) co_return read;
  BeamSearch search(language_model_, *options_.beam_search, state_.data(),
                    looked_at);
  while (!search.done()) {
    const BeamSearch::Step step = search.Next();
    std::vector<ScoredWord> best(step.states.size() * step.k);
    std::vector<float> attention(step.states.size() * looked_at.size());
    const ModelWork work = {.model = *handle_,
                            .queries = step.moves,
                            .states = step.states,
                            .attention = absl::MakeSpan(attention),
                            .k = step.k,
                            .best = absl::MakeSpan(best)};
    absl::Status status = co_await serving_.batcher.Run(call_, work);
    if (!status.ok()) co_return status;
    search.Take(best, attention);
  }
  for (const BeamSearch::Hypothesis& hypothesis : search.Best(options_.best)) {
    SetHypothesis(language_model_.vocabulary(), hypothesis,
                  response->add_hypotheses());
  }
  SetModel(*handle_, response->mutable_model());
  done_ = true;
  co_return absl::OkStatus();
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
  absl::Status status;
  if (!begun_) status = co_await Begin();
  if (!status.ok()) co_return status;
  if (options_.beam_search.has_value()) {
    status = co_await Search(response);
    if (!status.ok()) co_return status;
    co_return true;
  }
  if (word_count_ == options_.max_words) {
    Finish(End::MAX_WORDS, response);
    co_return true;
  }
  status = co_await Draw();
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
