// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_OPENAI_COMPLETION_H_
#define LMSERVE_SERVER_OPENAI_COMPLETION_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "lm/v1/language_model.pb.h"
#include "model_store/loaded_version.h"
#include "server/call/call.h"
#include "server/call/task.h"
#include "server/handlers/generation.h"
#include "server/handlers/serving_context.h"
#include "server/openai/completion_choice.h"
#include "server/openai/completion_request.h"
#include "server/openai/prompt_text.h"

namespace lmserve {

// The answer to one request for completions: all choices of the first prompt,
// then those of the second, and so on. A choice is its prompt, if the request
// asks for the echo, and the words that the model draws after it. The scores of
// prompts are those of Score, and words are drawn as by Generate; the words of
// up to 64 choices are drawn in one batch. Keeps its model version loaded. One
// thread at a time; `serving` and `call` must outlive it.
class Completion {
 public:
  // Finds the model and checks the request. Fails with the status for the
  // client, which names members of the request.
  static absl::StatusOr<std::unique_ptr<Completion>> Start(
      const ServingContext& serving, Call& call, CompletionRequest request);

  const CompletionRequest& request() const { return request_; }
  const LoadedVersion& model() const { return *handle_; }

  size_t choices() const { return prompts_.size() * request_.choices; }

  // Writes the next piece of any choice and returns true; after the last one,
  // writes nothing and returns false. Fails as Batcher::Run() does.
  Task<absl::StatusOr<bool>> Next(CompletionPiece* piece);

  // The words of all prompts, and the words that were drawn so far, with </s>.
  uint64_t prompt_words() const { return prompt_words_; }
  uint64_t drawn_words() const { return drawn_words_; }

 private:
  Completion(const ServingContext& serving, Call& call, ModelHandle handle,
             CompletionRequest request);

  // A choice that grows. It has a generation while words are to be drawn.
  struct Growing {
    size_t prompt;  // its index
    CompletionChoice choice;
    std::unique_ptr<Generation> generation = nullptr;
    bool has_ended = false;
  };

  absl::Status AddPrompts();
  absl::Status CheckCanDo() const;
  // Scores all prompts in one batch.
  Task<absl::Status> ScorePrompts();
  absl::StatusOr<std::unique_ptr<Generation>> StartGeneration(
      size_t choice) const;
  // Makes the next choices, which grow together.
  absl::Status StartGroup();
  // Begins them with their prompts.
  Task<absl::Status> BeginGroup();
  // Draws the next word of each.
  Task<absl::Status> Draw(absl::Span<Growing* const> growing);
  // Does the next one of these steps.
  Task<absl::Status> Advance();
  bool has_ended() const;
  void Keep(CompletionPiece piece, Growing* growing);

  const ServingContext& serving_;
  Call& call_;
  const ModelHandle handle_;
  const CompletionRequest request_;
  const size_t alternatives_;
  std::vector<PromptText> prompts_;
  uint64_t prompt_words_ = 0;
  uint64_t drawn_words_ = 0;

  Budget::Reservation score_bytes_;
  lm::v1::ScoreResponse scores_;  // of the prompts, once they are known

  std::vector<Growing> group_;
  size_t next_choice_ = 0;  // after the group
  bool has_begun_ = false;  // the group has
  std::deque<CompletionPiece> ready_;
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_OPENAI_COMPLETION_H_
