// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_OPENAI_COMPLETION_CHOICE_H_
#define LMSERVE_SERVER_OPENAI_COMPLETION_CHOICE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "lm/v1/language_model.pb.h"
#include "models/vocabulary.h"
#include "server/handlers/generation.h"
#include "server/openai/completion_request.h"
#include "server/openai/prompt_text.h"
#include "server/openai/stop_strings.h"

namespace lmserve {

// A part of a choice.
struct CompletionPiece {
  size_t choice = 0;
  std::string text;
  std::vector<CompletionToken> tokens;  // empty without log-probabilities
  std::string finish_reason;            // of the last piece: "stop" or "length"
  bool is_word = false;                 // a word was drawn for it

  // Appends the next piece of the same choice.
  void Append(CompletionPiece next);

  bool is_last() const { return !finish_reason.empty(); }
  // Whether it says nothing, because the word that was drawn is held back.
  bool is_empty() const { return text.empty() && tokens.empty() && !is_last(); }
};

// One of the completions of a prompt, while it grows: the prompt, if the
// request asks for the echo, and the words that are drawn after it. One thread
// at a time; all arguments of the constructor must outlive it.
class CompletionChoice {
 public:
  CompletionChoice(const CompletionRequest& request,
                   const Vocabulary& vocabulary, const PromptText& prompt,
                   size_t index);

  // Returns the first piece, with the prompt. `scores` are those of the words
  // of the prompt, if the request asks for the echo and log-probabilities. If
  // nothing is to be drawn, it is the last piece, too.
  CompletionPiece Begin(const lm::v1::WordScores& scores);

  // Returns the piece with what the last Next() of `generation` wrote.
  // REQUIRES: Begin() was called, and no piece was the last one.
  CompletionPiece Take(const Generation& generation,
                       const lm::v1::GenerateResponse& response);

 private:
  CompletionPiece NewPiece() const;
  std::vector<CompletionToken> ScoredPrompt(
      const lm::v1::WordScores& scores) const;
  CompletionToken MakeToken(const Generation& generation,
                            std::string text) const;
  void TakeWord(const Generation& generation, absl::string_view word,
                CompletionPiece* piece);
  void TakeEnd(const Generation& generation, const lm::v1::GenerationEnd& end,
               CompletionPiece* piece);
  bool has_scores() const { return request_.logprobs.has_value(); }
  bool has_best() const { return request_.logprobs.value_or(0) > 0; }

  const CompletionRequest& request_;
  const Vocabulary& vocabulary_;
  const PromptText& prompt_;
  const size_t index_;
  StopStrings stops_;
  uint64_t offset_ = 0;  // of the next token, in code points
  std::string gap_;      // the white space before the next word
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_OPENAI_COMPLETION_CHOICE_H_
