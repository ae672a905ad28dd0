// SPDX-License-Identifier: Apache-2.0
#include "server/openai/completion.h"

#include <algorithm>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "server/call/status.h"
#include "server/handlers/cannot_do.h"
#include "server/handlers/score.h"

namespace lmserve {
namespace {

// How many choices are drawn side by side. Their states are in memory.
constexpr size_t kChoicesAtOnce = 64;

// Searching for long stop strings takes long.
constexpr uint64_t kMaxStopBytes = 16 << 10;

absl::Status CheckStops(const std::vector<std::string>& stops,
                        const Limits& limits) {
  uint64_t bytes = 0;
  for (const std::string& stop : stops) bytes += stop.size();
  absl::Status status = CheckLimit("stop", stops.size(), limits.stop_words);
  if (status.ok()) status = CheckLimit("stop: bytes", bytes, kMaxStopBytes);
  return status;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Completion>> Completion::Start(
    const ServingContext& serving, Call& call, CompletionRequest request) {
  absl::StatusOr<ModelHandle> handle = FindModel(serving, call, request.model);
  if (!handle.ok()) return handle.status();
  auto completion = absl::WrapUnique(
      new Completion(serving, call, *std::move(handle), std::move(request)));
  absl::Status status = completion->CheckCanDo();
  if (status.ok()) status = completion->AddPrompts();
  // What the model cannot do is told before the prompts are scored.
  if (status.ok()) status = completion->StartGroup();
  if (!status.ok()) return status;
  return completion;
}

Completion::Completion(const ServingContext& serving, Call& call,
                       ModelHandle handle, CompletionRequest request)
    : serving_(serving),
      call_(call),
      handle_(std::move(handle)),
      request_(std::move(request)),
      alternatives_(std::min<size_t>(request_.logprobs.value_or(0),
                                     handle_->model().vocabulary().size())),
      score_bytes_(serving.budgets.answer_bytes) {}

absl::Status Completion::CheckCanDo() const {
  const Limits& limits = serving_.limits;
  absl::Status status = CheckScoresTexts("model", *handle_, "complete texts");
  if (!status.ok()) return status;
  const uint64_t choices = uint64_t{request_.prompts.size()} * request_.choices;
  status = CheckLimit("n times prompts", choices, limits.texts);
  if (status.ok()) {
    status = CheckLimit("max_tokens times n times prompts",
                        choices * request_.max_tokens, limits.words);
  }
  if (status.ok()) {
    status = CheckLimit("logprobs times max_tokens times n times prompts",
                        choices * request_.max_tokens * alternatives_,
                        limits.predictions);
  }
  if (status.ok()) status = CheckStops(request_.stop, limits);
  return status;
}

absl::Status Completion::AddPrompts() {
  for (const CompletionPrompt& prompt : request_.prompts) {
    absl::StatusOr<PromptText> text =
        PromptText::Create(handle_->model().vocabulary(), prompt);
    if (!text.ok()) return text.status();
    prompt_words_ += text->size();
    prompts_.push_back(*std::move(text));
  }
  return CheckLimit("words in the request", prompt_words_,
                    serving_.limits.words);
}

Task<absl::Status> Completion::ScorePrompts() {
  lm::v1::ScoreRequest request;
  for (const PromptText& prompt : prompts_) {
    *request.add_texts() = prompt.words();
  }
  if (!request_.source.empty()) {
    request.add_sources()->set_text(request_.source);
  }
  // A bidirectional model does not score </s> anyway.
  if (handle_->model().predicts_end()) request.set_include_end(false);
  request.set_per_word(true);
  request.set_alternatives(static_cast<uint32_t>(alternatives_));
  absl::Status status =
      co_await ScoreWithModel(serving_, call_, *handle_, request, &scores_);
  if (!status.ok()) co_return status;
  co_return score_bytes_.Resize("answer bytes", scores_.SpaceUsedLong());
}

absl::StatusOr<std::unique_ptr<Generation>> Completion::StartGeneration(
    size_t choice) const {
  lm::v1::GenerateRequest request;
  *request.mutable_prompt() = prompts_[choice / request_.choices].words();
  request.set_max_words(request_.max_tokens);
  if (!request_.source.empty()) {
    request.mutable_source()->set_text(request_.source);
  }
  if (request_.seed.has_value()) {
    request.set_seed(*request_.seed + choice % request_.choices);
  }
  if (request_.temperature.has_value()) {
    request.set_temperature(static_cast<float>(*request_.temperature));
  }
  if (request_.top_p.has_value()) {
    request.set_top_p(static_cast<float>(*request_.top_p));
  }
  request.set_top_k(request_.top_k);
  if (request_.repetition_penalty.has_value()) {
    request.set_repetition_penalty(
        static_cast<float>(*request_.repetition_penalty));
  }
  return Generation::Start(serving_, call_, handle_, request, alternatives_);
}

absl::Status Completion::StartGroup() {
  const size_t end = std::min(next_choice_ + kChoicesAtOnce, choices());
  group_.clear();
  for (; next_choice_ < end; ++next_choice_) {
    const size_t prompt = next_choice_ / request_.choices;
    group_.push_back(
        {.prompt = prompt,
         .choice = CompletionChoice(request_, handle_->model().vocabulary(),
                                    prompts_[prompt], next_choice_)});
    if (request_.max_tokens == 0) continue;
    auto generation = StartGeneration(next_choice_);
    if (!generation.ok()) return generation.status();
    group_.back().generation = *std::move(generation);
  }
  return absl::OkStatus();
}

void Completion::Keep(CompletionPiece piece, Growing* growing) {
  growing->has_ended = piece.is_last();
  if (!piece.is_empty()) ready_.push_back(std::move(piece));
}

Task<absl::Status> Completion::BeginGroup() {
  const bool has_scores = request_.echo && request_.logprobs.has_value();
  if (has_scores && scores_.scores().empty()) {
    absl::Status status = co_await ScorePrompts();
    if (!status.ok()) co_return status;
  }
  for (Growing& growing : group_) {
    const auto prompt = static_cast<int>(growing.prompt);
    Keep(growing.choice.Begin(has_scores
                                  ? scores_.scores(prompt).words()
                                  : lm::v1::WordScores::default_instance()),
         &growing);
  }
  has_begun_ = true;
  co_return absl::OkStatus();
}

Task<absl::Status> Completion::Draw(absl::Span<Growing* const> growing) {
  std::vector<Generation*> generations;
  for (const Growing* one : growing) {
    generations.push_back(one->generation.get());
  }
  absl::Status status = co_await Generation::DrawTogether(generations);
  if (!status.ok()) co_return status;
  for (Growing* one : growing) {
    lm::v1::GenerateResponse response;
    const absl::StatusOr<bool> more = co_await one->generation->Next(&response);
    if (!more.ok()) co_return more.status();
    if (one->generation->drawn().has_value()) ++drawn_words_;
    Keep(one->choice.Take(*one->generation, response), one);
    if (one->has_ended) one->generation.reset();
  }
  co_return absl::OkStatus();
}

Task<absl::Status> Completion::Advance() {
  if (!has_begun_) co_return co_await BeginGroup();
  std::vector<Growing*> growing;
  for (Growing& one : group_) {
    if (!one.has_ended) growing.push_back(&one);
  }
  if (!growing.empty()) co_return co_await Draw(growing);
  has_begun_ = false;
  co_return StartGroup();
}

Task<absl::StatusOr<bool>> Completion::Next(CompletionPiece* piece) {
  while (ready_.empty() && !has_ended()) {
    absl::Status status = co_await Advance();
    if (!status.ok()) co_return status;
  }
  if (ready_.empty()) co_return false;
  *piece = std::move(ready_.front());
  ready_.pop_front();
  co_return true;
}

bool Completion::has_ended() const {
  return next_choice_ == choices() &&
         std::all_of(group_.begin(), group_.end(),
                     [](const Growing& one) { return one.has_ended; });
}

}  // namespace lmserve
