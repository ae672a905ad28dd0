// SPDX-License-Identifier: Apache-2.0
#include "server/openai/completion.h"

#include <algorithm>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "server/call/status.h"
#include "server/handlers/score.h"

namespace lmserve {
namespace {

constexpr char kStop[] = "stop";
constexpr char kLength[] = "length";

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

// Sets what the probabilities of a place say of a token: ln P of the word
// there, and the most probable words, of which the word itself may be one.
class TokenScore {
 public:
  // `prefix` is the white space that other words in the place would have.
  TokenScore(CompletionToken* token, absl::string_view prefix)
      : token_(*token), prefix_(prefix) {}

  void AddBest(absl::string_view word, float log_prob, bool is_token) {
    has_token_ |= is_token;
    token_.top.emplace_back(is_token ? token_.text
                            : word == kEndSentence
                                ? std::string(word)
                                : absl::StrCat(prefix_, word),
                            log_prob);
  }

  // Adds the word itself if it is not among the best.
  void Finish(float log_prob, bool with_top) {
    token_.log_prob = log_prob;
    if (with_top && !has_token_) token_.top.emplace_back(token_.text, log_prob);
  }

 private:
  CompletionToken& token_;
  const absl::string_view prefix_;
  bool has_token_ = false;
};

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
  if (status.ok() && completion->request_.max_tokens > 0) {
    status = completion->StartGeneration();
  }
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
      score_bytes_(serving.budgets.answer_bytes),
      stops_(request_.stop) {}

absl::Status Completion::CheckCanDo() const {
  const Limits& limits = serving_.limits;
  const uint64_t choices = uint64_t{request_.prompts.size()} * request_.choices;
  absl::Status status = CheckLimit("n times prompts", choices, limits.texts);
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
  has_scores_ = true;
  co_return score_bytes_.Resize("answer bytes", scores_.SpaceUsedLong());
}

void Completion::Echo(CompletionPiece* piece) {
  const absl::string_view trailing_space = prompt().trailing_space();
  absl::string_view text = prompt().text();
  gap_ = text.empty() || !trailing_space.empty() ? "" : " ";
  if (request_.echo && request_.max_tokens > 0 && !trailing_space.empty()) {
    gap_ = std::string(trailing_space);
    text.remove_suffix(trailing_space.size());
  }
  offset_ = CodePoints(text);
  if (!request_.echo) return;
  piece->text = std::string(text);
  if (!request_.logprobs.has_value()) return;
  piece->tokens = ScoredPrompt();
  // No word follows that could take it.
  if (request_.max_tokens == 0 && !piece->tokens.empty()) {
    absl::StrAppend(&piece->tokens.back().text, trailing_space);
  }
}

std::vector<CompletionToken> Completion::ScoredPrompt() const {
  const auto index = static_cast<int>(choice_ / request_.choices);
  const lm::v1::WordScores& scores = scores_.scores(index).words();
  std::vector<CompletionToken> tokens = prompt().Tokens();
  int i = 0;
  for (CompletionToken& token : tokens) {
    if (!token.is_text) continue;
    TokenScore score(&token, /*prefix=*/token.offset == 0 ? "" : " ");
    if (alternatives_ > 0) {
      const lm::v1::NextWords& best = scores.alternatives(i);
      for (int j = 0; j < best.words_size(); ++j) {
        score.AddBest(best.words(j), best.log_probs(j),
                      best.words(j) == scores.words(i));
      }
    }
    score.Finish(scores.log_probs(i), alternatives_ > 0);
    ++i;
  }
  return tokens;
}

absl::Status Completion::StartGeneration() {
  lm::v1::GenerateRequest request;
  *request.mutable_prompt() = prompt().words();
  request.set_max_words(request_.max_tokens);
  if (!request_.source.empty()) {
    request.mutable_source()->set_text(request_.source);
  }
  if (request_.seed.has_value()) {
    request.set_seed(*request_.seed + choice_ % request_.choices);
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
  auto started =
      Generation::Start(serving_, call_, handle_, request, alternatives_);
  if (started.ok()) generation_ = *std::move(started);
  return started.status();
}

CompletionToken Completion::MakeToken(std::string text) {
  const Vocabulary& vocabulary = handle_->model().vocabulary();
  const ScoredWord& drawn = *generation_->drawn();
  CompletionToken token = {.text = std::move(text),
                           .offset = offset_,
                           .is_text = drawn.word != vocabulary.end_sentence()};
  if (!request_.logprobs.has_value()) return token;
  TokenScore score(&token, /*prefix=*/gap_.empty() ? "" : " ");
  for (const ScoredWord& word : generation_->best()) {
    score.AddBest(vocabulary.word(word.word), word.log_prob,
                  word.word == drawn.word);
  }
  score.Finish(drawn.log_prob, alternatives_ > 0);
  return token;
}

void Completion::EndChoice(absl::string_view reason, CompletionPiece* piece) {
  piece->finish_reason = std::string(reason);
  generation_.reset();
  stops_ = StopStrings(request_.stop);
  has_echoed_ = false;
  ++choice_;
}

Task<absl::Status> Completion::Draw(CompletionPiece* piece) {
  using End = lm::v1::GenerationEnd;
  lm::v1::GenerateResponse response;
  const absl::StatusOr<bool> more = co_await generation_->Next(&response);
  if (!more.ok()) co_return more.status();
  if (generation_->drawn().has_value()) ++drawn_words_;
  if (response.has_word()) {
    piece->is_word = true;
    CompletionToken token =
        MakeToken(absl::StrCat(gap_, response.word().word()));
    gap_ = " ";
    offset_ += CodePoints(token.text);
    if (stops_.Add(std::move(token), &piece->tokens, &piece->text)) {
      EndChoice(kStop, piece);
    }
    co_return absl::OkStatus();
  }
  stops_.Finish(&piece->tokens, &piece->text);
  if (request_.echo && response.end().word_count() == 0) {
    // No word has taken it.
    absl::StrAppend(&piece->text, prompt().trailing_space());
    offset_ = CodePoints(prompt().text());
  }
  const End::Reason reason = response.end().reason();
  if (reason == End::REASON_END_OF_SENTENCE) {
    piece->tokens.push_back(MakeToken(std::string(kEndSentence)));
  }
  EndChoice(reason == End::REASON_MAX_WORDS ? kLength : kStop, piece);
  co_return absl::OkStatus();
}

Task<absl::StatusOr<bool>> Completion::DoNext(CompletionPiece* piece) {
  piece->choice = choice_;
  if (request_.echo && request_.logprobs.has_value() && !has_scores_) {
    absl::Status status = co_await ScorePrompts();
    if (!status.ok()) co_return status;
  }
  if (!has_echoed_) {
    has_echoed_ = true;
    Echo(piece);
    if (request_.max_tokens == 0) {
      EndChoice(kLength, piece);
      co_return true;
    }
    if (!piece->text.empty() || !piece->tokens.empty()) co_return true;
  }
  if (generation_ == nullptr) {
    absl::Status status = StartGeneration();
    if (!status.ok()) co_return status;
  }
  // Words that may begin a stop string are held back.
  while (piece->text.empty() && piece->tokens.empty() &&
         piece->finish_reason.empty()) {
    absl::Status status = co_await Draw(piece);
    if (!status.ok()) co_return status;
  }
  co_return true;
}

Task<absl::StatusOr<bool>> Completion::Next(CompletionPiece* piece) {
  if (choice_ == choices()) co_return false;
  absl::StatusOr<bool> more = co_await DoNext(piece);
  if (!request_.logprobs.has_value()) piece->tokens.clear();
  co_return more;
}

}  // namespace lmserve
