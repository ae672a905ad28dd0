// SPDX-License-Identifier: Apache-2.0
#include "server/openai/completion_choice.h"

#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"

namespace lmserve {
namespace {

constexpr absl::string_view kStop = "stop";
constexpr absl::string_view kLength = "length";

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

void CompletionPiece::Append(CompletionPiece next) {
  choice = next.choice;
  text += next.text;
  std::move(next.tokens.begin(), next.tokens.end(), std::back_inserter(tokens));
  finish_reason = std::move(next.finish_reason);
}

CompletionChoice::CompletionChoice(const CompletionRequest& request,
                                   const Vocabulary& vocabulary,
                                   const PromptText& prompt, size_t index)
    : request_(request),
      vocabulary_(vocabulary),
      prompt_(prompt),
      index_(index),
      stops_(request.stop) {}

CompletionPiece CompletionChoice::NewPiece() const {
  CompletionPiece piece;
  piece.choice = index_;
  return piece;
}

CompletionPiece CompletionChoice::Begin(const lm::v1::WordScores& scores) {
  const bool draws = request_.max_tokens > 0;
  const absl::string_view trailing_space = prompt_.trailing_space();
  absl::string_view text = prompt_.text();
  gap_.assign(text.empty() || !trailing_space.empty() ? 0 : 1, ' ');
  if (request_.echo && draws && !trailing_space.empty()) {
    gap_ = std::string(trailing_space);
    text.remove_suffix(trailing_space.size());
  }
  offset_ = CodePoints(text);
  CompletionPiece piece = NewPiece();
  if (!draws) piece.finish_reason = std::string(kLength);
  if (!request_.echo) return piece;
  piece.text = std::string(text);
  if (!has_scores()) return piece;
  piece.tokens = ScoredPrompt(scores);
  // No word follows that could take it.
  if (!draws && !piece.tokens.empty()) {
    absl::StrAppend(&piece.tokens.back().text, trailing_space);
  }
  return piece;
}

std::vector<CompletionToken> CompletionChoice::ScoredPrompt(
    const lm::v1::WordScores& scores) const {
  std::vector<CompletionToken> tokens = prompt_.Tokens();
  int i = 0;
  for (CompletionToken& token : tokens) {
    if (!token.is_text) continue;
    TokenScore score(&token, /*prefix=*/token.offset == 0 ? "" : " ");
    if (has_best()) {
      const lm::v1::NextWords& best = scores.alternatives(i);
      for (int j = 0; j < best.words_size(); ++j) {
        score.AddBest(best.words(j), best.log_probs(j),
                      best.words(j) == scores.words(i));
      }
    }
    score.Finish(scores.log_probs(i), has_best());
    ++i;
  }
  return tokens;
}

CompletionToken CompletionChoice::MakeToken(const Generation& generation,
                                            std::string text) const {
  const ScoredWord& drawn = *generation.drawn();
  CompletionToken token = {.text = std::move(text),
                           .offset = offset_,
                           .is_text = drawn.word != vocabulary_.end_sentence()};
  if (!has_scores()) return token;
  TokenScore score(&token, /*prefix=*/gap_.empty() ? "" : " ");
  for (const ScoredWord& word : generation.best()) {
    score.AddBest(vocabulary_.word(word.word), word.log_prob,
                  word.word == drawn.word);
  }
  score.Finish(drawn.log_prob, has_best());
  return token;
}

CompletionPiece CompletionChoice::Take(
    const Generation& generation, const lm::v1::GenerateResponse& response) {
  CompletionPiece piece = NewPiece();
  if (response.has_word()) {
    TakeWord(generation, response.word().word(), &piece);
  } else {
    TakeEnd(generation, response.end(), &piece);
  }
  if (!has_scores()) piece.tokens.clear();
  return piece;
}

void CompletionChoice::TakeWord(const Generation& generation,
                                absl::string_view word,
                                CompletionPiece* piece) {
  piece->is_word = true;
  CompletionToken token = MakeToken(generation, absl::StrCat(gap_, word));
  gap_.assign(1, ' ');
  offset_ += CodePoints(token.text);
  if (stops_.Add(std::move(token), &piece->tokens, &piece->text)) {
    piece->finish_reason = std::string(kStop);
  }
}

void CompletionChoice::TakeEnd(const Generation& generation,
                               const lm::v1::GenerationEnd& end,
                               CompletionPiece* piece) {
  using End = lm::v1::GenerationEnd;
  stops_.Finish(&piece->tokens, &piece->text);
  if (request_.echo && end.word_count() == 0) {
    // No word has taken it.
    absl::StrAppend(&piece->text, prompt_.trailing_space());
    offset_ = CodePoints(prompt_.text());
  }
  if (end.reason() == End::REASON_END_OF_SENTENCE) {
    piece->tokens.push_back(MakeToken(generation, std::string(kEndSentence)));
  }
  const bool is_full = end.reason() == End::REASON_MAX_WORDS;
  piece->finish_reason = std::string(is_full ? kLength : kStop);
}

}  // namespace lmserve
