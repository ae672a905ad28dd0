// SPDX-License-Identifier: Apache-2.0
#include "server/handlers/generation.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/memory/memory.h"
#include "models/distribution.h"
#include "server/handlers/cannot_do.h"
#include "server/handlers/encoded_texts.h"
#include "server/handlers/replies.h"

namespace lmserve {
namespace {

// While about this many texts are being generated, the words after the first
// one wait in the queue, where clients take turns.
constexpr uint64_t kTextsInTurn = 128;

}  // namespace

absl::StatusOr<std::unique_ptr<Generation>> Generation::Start(
    const ServingContext& serving, Call& call,
    const lm::v1::GenerateRequest& request) {
  absl::StatusOr<ModelHandle> handle =
      FindModel(serving, call, request.model());
  if (!handle.ok()) return handle.status();
  return Start(serving, call, *std::move(handle), request, 0);
}

absl::StatusOr<std::unique_ptr<Generation>> Generation::Start(
    const ServingContext& serving, Call& call, ModelHandle handle,
    const lm::v1::GenerateRequest& request, size_t alternatives) {
  if (handle->model().word_by_word() == nullptr) {
    return CannotDo("model", *handle, "generate");
  }
  const absl::StatusOr<GenerationOptions> options =
      ParseGenerationOptions(*handle, serving.limits, request);
  if (!options.ok()) return options.status();
  std::vector<const lm::v1::Text*> sources;
  if (request.has_source()) sources.push_back(&request.source());
  std::optional<EncodedTexts> source;
  absl::Status status =
      EncodeSources("source", *handle, serving.limits, sources, &source);
  if (!status.ok()) return status;
  EncodedTexts prompt(handle->model().vocabulary(), serving.limits);
  status = prompt.Add(request.prompt(), "prompt", -1, {.may_be_empty = true});
  if (!status.ok()) return status;
  auto generation = absl::WrapUnique(
      new Generation(serving, call, std::move(handle), *options, alternatives,
                     std::move(source), prompt.words(0)));
  status = generation->Reserve();
  if (!status.ok()) return status;
  return generation;
}

Generation::Generation(const ServingContext& serving, Call& call,
                       ModelHandle handle, const GenerationOptions& options,
                       size_t alternatives, std::optional<EncodedTexts> source,
                       absl::Span<const WordId> prompt)
    : serving_(serving),
      call_(call),
      handle_(std::move(handle)),
      language_model_(*handle_->model().word_by_word()),
      options_(options),
      alternatives_(alternatives),
      words_(serving.budgets.generated_words),
      state_bytes_(serving.budgets.state_bytes),
      source_(std::move(source)),
      sampler_(language_model_.vocabulary().unknown(), options.sampler,
               options.seed),
      unread_(prompt.begin(), prompt.end()) {
  for (WordId word : prompt) sampler_.Use(word);
}

// A beam search has in memory, besides the state after the prompt, for each
// hypothesis the state and the attention before and after a step.
absl::Status Generation::Reserve() {
  const uint64_t beam =
      options_.beam_search.has_value() ? options_.beam_search->beam : 1;
  absl::Status status = words_.Resize("max_words", options_.max_words * beam);
  if (!status.ok()) return status;
  const uint64_t state = language_model_.state_size();
  if (beam == 1) {
    return state_bytes_.Resize("prompt: bytes of its state", state);
  }
  return state_bytes_.Resize(
      "beam_search.size: bytes of its states",
      state + 2 * beam * (state + AttendedWords() * sizeof(float)));
}

size_t Generation::AttendedWords() const {
  const bool attends = options_.beam_search.has_value() &&
                       options_.beam_search->coverage_beta > 0;
  return attends ? source_->words(0).size() + 1 : 0;
}

Task<absl::Status> Generation::Begin() {
  begun_ = true;
  state_.resize(language_model_.state_size());
  if (!source_.has_value()) {
    language_model_.Start(state_.data());
    co_return absl::OkStatus();
  }
  absl::Status status = co_await ReadSources(serving_, call_, *handle_,
                                             *source_, 0, 1, &read_sources_);
  if (status.ok()) read_sources_[0]->Start(state_.data());
  co_return status;
}

// Reads all words at once or, if the attention is wanted, word by word.
Task<absl::Status> Generation::ReadPrompt(std::vector<float>* coverage) {
  std::vector<std::byte> next(state_.size());
  std::vector<float> attention(coverage->size());
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
      (*coverage)[j] += attention[j];
    }
  }
  co_return absl::OkStatus();
}

// Reads the prompt first. Each step of the search is one run of the batcher.
Task<absl::Status> Generation::Search(lm::v1::GenerateResponse* response) {
  std::vector<float> coverage(AttendedWords());
  absl::Status read = co_await ReadPrompt(&coverage);
  if (!read.ok()) co_return read;
  BeamSearch search(language_model_, *options_.beam_search, state_.data(),
                    coverage);
  while (!search.done()) {
    const BeamSearch::Step step = search.Next();
    std::vector<ScoredWord> best(step.states.size() * step.k);
    std::vector<float> attention(step.states.size() * coverage.size());
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
  const std::vector<BeamSearch::Hypothesis> found = search.Best(options_.best);
  uint64_t bytes = 0;
  for (const BeamSearch::Hypothesis& hypothesis : found) {
    for (WordId word : hypothesis.words) {
      bytes += kReplyWordBytes + language_model_.vocabulary().word(word).size();
    }
  }
  Budget::Reservation answer(serving_.budgets.answer_bytes);
  absl::Status reserved = answer.Resize("answer bytes", bytes);
  if (!reserved.ok()) co_return reserved;
  lm::v1::Hypotheses* hypotheses = response->mutable_hypotheses();
  for (const BeamSearch::Hypothesis& hypothesis : found) {
    SetHypothesis(language_model_.vocabulary(), hypothesis,
                  hypotheses->add_hypotheses());
  }
  SetModelVersion(*handle_, response->mutable_model());
  done_ = true;
  co_return absl::OkStatus();
}

// A look-up model draws a word on the thread of gRPC, which the write of that
// word lets draw the next one. Many texts at once would keep this thread from
// looking for the calls of others.
Task<absl::Status> Generation::DrawTogether(
    absl::Span<Generation* const> group) {
  std::vector<Generation*> drawing;
  for (Generation* one : group) {
    one->drawn_.reset();
    one->best_.clear();
    if (!one->begun_) {
      absl::Status status = co_await one->Begin();
      if (!status.ok()) co_return status;
    }
    one->is_ahead_ = true;
    if (one->draws()) drawing.push_back(one);
  }
  if (drawing.empty()) co_return absl::OkStatus();
  const Generation& first = *drawing.front();
  if (first.word_count_ > 0 && first.serving_.budgets.generated_words.taken() >
                                   kTextsInTurn * first.options_.max_words) {
    first.call_.turn_seconds = std::numeric_limits<double>::infinity();
  }
  const WordId vocabulary = first.language_model_.vocabulary().size();
  std::vector<LanguageModel::Query> unread;
  std::vector<const std::byte*> states;
  size_t most_wanted = 0;
  bool needs_all = false;
  for (Generation* one : drawing) {
    if (!one->unread_.empty()) {
      unread.push_back(
          {one->state_.data(), one->unread_, one->state_.data(), {}});
    }
    states.push_back(one->state_.data());
    const size_t wanted = one->sampler_.best_wanted(vocabulary);
    most_wanted = std::max({most_wanted, wanted, one->alternatives_});
    needs_all |= wanted == 0;
  }
  const auto draw = [&](size_t i, absl::Span<const float> log_probs) {
    drawing[i]->DrawFrom(log_probs);
  };
  std::vector<ScoredWord> best;
  ModelWork work = {
      .model = *first.handle_, .queries = unread, .states = states};
  if (needs_all) {
    work.visit.emplace(draw);
  } else {
    best.resize(states.size() * most_wanted);
    work.k = most_wanted;
    work.best = absl::MakeSpan(best);
  }
  absl::Status status = co_await first.serving_.batcher.Run(first.call_, work);
  if (!status.ok()) co_return status;
  for (size_t i = 0; i < drawing.size(); ++i) {
    if (!needs_all) {
      drawing[i]->DrawFromBest(
          absl::MakeConstSpan(best).subspan(i * most_wanted, most_wanted));
    }
    drawing[i]->unread_.clear();
  }
  co_return absl::OkStatus();
}

void Generation::DrawFrom(absl::Span<const float> log_probs) {
  const size_t wanted = sampler_.best_wanted(log_probs.size());
  best_.resize(std::max(wanted, alternatives_));
  TakeBest(log_probs, absl::MakeSpan(best_));
  if (wanted == 0) {
    drawn_ = sampler_.DrawFromAll(log_probs);
  } else {
    drawn_ = sampler_.DrawFromBest(absl::MakeSpan(best_).first(wanted));
  }
  best_.resize(alternatives_);
}

void Generation::DrawFromBest(absl::Span<const ScoredWord> best) {
  const WordId vocabulary = language_model_.vocabulary().size();
  drawn_ = sampler_.DrawFromBest(best.first(sampler_.best_wanted(vocabulary)));
  best_.assign(best.begin(), best.begin() + alternatives_);
}

Task<absl::StatusOr<bool>> Generation::Next(
    lm::v1::GenerateResponse* response) {
  if (done_) co_return false;
  absl::Status status;
  if (options_.beam_search.has_value()) {
    if (!begun_) status = co_await Begin();
    if (status.ok()) status = co_await Search(response);
    if (!status.ok()) co_return status;
    co_return true;
  }
  if (!is_ahead_) {
    Generation* const self = this;
    status = co_await DrawTogether({&self, 1});
    if (!status.ok()) co_return status;
  }
  is_ahead_ = false;
  if (!draws()) {
    Finish(End::REASON_MAX_WORDS, response);
  } else if (!drawn_.has_value()) {
    Finish(End::REASON_NO_WORD, response);
  } else if (drawn_->word == language_model_.vocabulary().end_sentence()) {
    log_prob_ += drawn_->log_prob;
    Finish(End::REASON_END_OF_SENTENCE, response);
  } else if (options_.stop_words.contains(drawn_->word)) {
    Finish(End::REASON_STOP_WORD, response);
  } else {
    SetWord(response);
  }
  co_return true;
}

void Generation::SetWord(lm::v1::GenerateResponse* response) {
  if (first_) SetModelVersion(*handle_, response->mutable_model());
  first_ = false;
  log_prob_ += drawn_->log_prob;
  ++word_count_;
  unread_ = {drawn_->word};
  sampler_.Use(drawn_->word);
  const absl::string_view text =
      language_model_.vocabulary().word(drawn_->word);
  lm::v1::GeneratedWord* word = response->mutable_word();
  word->set_word(text.data(), text.size());
  word->set_id(drawn_->word);
  word->set_log_prob(drawn_->log_prob);
}

void Generation::Finish(End::Reason reason,
                        lm::v1::GenerateResponse* response) {
  if (first_) SetModelVersion(*handle_, response->mutable_model());
  done_ = true;
  End* end = response->mutable_end();
  end->set_reason(reason);
  end->set_word_count(word_count_);
  end->set_log_prob(log_prob_);
  end->set_seed(options_.seed);
}

}  // namespace lmserve
