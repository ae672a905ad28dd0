// SPDX-License-Identifier: Apache-2.0
#include "server/handlers/generation.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/memory/memory.h"
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
  if ((*handle)->model().kind() == ModelKind::kBidirectional) {
    return CannotDo("model", **handle, "generate");
  }
  const absl::StatusOr<GenerationOptions> options =
      ParseGenerationOptions(**handle, serving.limits, request);
  if (!options.ok()) return options.status();
  std::vector<const lm::v1::Text*> sources;
  if (request.has_source()) sources.push_back(&request.source());
  std::optional<EncodedTexts> source;
  absl::Status status =
      EncodeSources("source", **handle, serving.limits, sources, &source);
  if (!status.ok()) return status;
  EncodedTexts prompt((*handle)->model().vocabulary(), serving.limits);
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
                       ModelHandle handle, const GenerationOptions& options,
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

// A beam search has in memory, for each hypothesis, the state and the attention
// before and after a step.
absl::Status Generation::Reserve() {
  const uint64_t beam =
      options_.beam_search.has_value() ? options_.beam_search->beam : 1;
  absl::Status status = words_.Resize("max_words", options_.max_words * beam);
  if (!status.ok() || beam == 1) return status;
  return state_bytes_.Resize(
      "beam_search.size: bytes of its states",
      2 * beam *
          (language_model_.state_size() + AttendedWords() * sizeof(float)));
}

size_t Generation::AttendedWords() const {
  const bool attends = options_.beam_search.has_value() &&
                       options_.beam_search->coverage_beta > 0;
  return attends ? source_->words(0).size() + 1 : 0;
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
Task<absl::Status> Generation::Draw() {
  if (word_count_ > 0 && serving_.budgets.generated_words.taken() >
                             kTextsInTurn * options_.max_words) {
    call_.turn_seconds = std::numeric_limits<double>::infinity();
  }
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
    Finish(End::REASON_MAX_WORDS, response);
    co_return true;
  }
  status = co_await Draw();
  if (!status.ok()) co_return status;
  if (!drawn_.has_value()) {
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
