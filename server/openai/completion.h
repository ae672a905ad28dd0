// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_OPENAI_COMPLETION_H_
#define LMSERVE_SERVER_OPENAI_COMPLETION_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "lm/v1/language_model.pb.h"
#include "model_store/loaded_version.h"
#include "server/call/call.h"
#include "server/call/task.h"
#include "server/handlers/generation.h"
#include "server/handlers/serving_context.h"
#include "server/openai/completion_request.h"
#include "server/openai/prompt_text.h"
#include "server/openai/stop_strings.h"

namespace lmserve {

// A part of a choice, which is a completion of one of the prompts.
struct CompletionPiece {
  size_t choice = 0;
  std::string text;
  std::vector<CompletionToken> tokens;  // empty without log-probabilities
  std::string finish_reason;            // of the last piece: "stop" or "length"
  bool is_word = false;                 // contains a word that was drawn
};

// The answer to one request for completions: all choices of the first prompt,
// then those of the second, and so on. A choice is its prompt, if the request
// asks for the echo, and the words that the model draws after it. The scores of
// prompts are those of Score, and words are drawn as by Generate. Keeps its
// model version loaded. One thread at a time; `serving` and `call` must outlive
// it.
class Completion {
 public:
  // Finds the model and checks the request. Fails with the status for the
  // client, which names members of the request.
  static absl::StatusOr<std::unique_ptr<Completion>> Start(
      const ServingContext& serving, Call& call, CompletionRequest request);

  const CompletionRequest& request() const { return request_; }
  const LoadedVersion& model() const { return *handle_; }

  size_t choices() const { return prompts_.size() * request_.choices; }

  // Writes the next piece and returns true; after the last one, writes nothing
  // and returns false. Fails as Batcher::Run() does.
  Task<absl::StatusOr<bool>> Next(CompletionPiece* piece);

  // The words of all prompts, and the words that were drawn so far, with </s>.
  uint64_t prompt_words() const { return prompt_words_; }
  uint64_t drawn_words() const { return drawn_words_; }

 private:
  Completion(const ServingContext& serving, Call& call, ModelHandle handle,
             CompletionRequest request);

  absl::Status AddPrompts();
  absl::Status CheckCanDo() const;
  const PromptText& prompt() const {
    return prompts_[choice_ / request_.choices];
  }

  // Scores all prompts in one batch.
  Task<absl::Status> ScorePrompts();
  // Begins a choice: with the prompt, if it is wanted.
  void Echo(CompletionPiece* piece);
  // The tokens of the prompt, with their probabilities.
  std::vector<CompletionToken> ScoredPrompt() const;
  absl::Status StartGeneration();
  Task<absl::StatusOr<bool>> DoNext(CompletionPiece* piece);
  // Draws the next word, and writes what may be shown.
  Task<absl::Status> Draw(CompletionPiece* piece);
  CompletionToken MakeToken(std::string text);
  void EndChoice(absl::string_view reason, CompletionPiece* piece);

  const ServingContext& serving_;
  Call& call_;
  const ModelHandle handle_;
  const CompletionRequest request_;
  const size_t alternatives_;
  std::vector<PromptText> prompts_;
  uint64_t prompt_words_ = 0;
  uint64_t drawn_words_ = 0;

  Budget::Reservation score_bytes_;
  lm::v1::ScoreResponse scores_;  // of the prompts, if they are wanted
  bool has_scores_ = false;

  size_t choice_ = 0;
  bool has_echoed_ = false;
  std::unique_ptr<Generation> generation_;  // of the choice, once it has begun
  StopStrings stops_;
  uint64_t offset_ = 0;  // of the next token, in code points
  std::string gap_;      // the white space before the next word
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_OPENAI_COMPLETION_H_
