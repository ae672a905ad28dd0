// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_HANDLERS_GENERATION_H_
#define LMSERVE_SERVER_HANDLERS_GENERATION_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "lm/v1/language_model.pb.h"
#include "model_store/loaded_version.h"
#include "models/search/sampler.h"
#include "server/call/call.h"
#include "server/call/task.h"
#include "server/handlers/encoded_texts.h"
#include "server/handlers/generation_options.h"
#include "server/handlers/serving_context.h"
#include "server/handlers/sources.h"

namespace lmserve {

// The answer to one LanguageModelService.Generate: a message for each sampled
// word and one for the end or, for a beam search, one message with all
// hypotheses. Keeps its model version loaded. One thread at a time; `serving`
// and `call` must outlive it.
class Generation {
 public:
  // Checks the request, and reserves from the budgets what the answer may take.
  // Fails with the status for the client.
  static absl::StatusOr<std::unique_ptr<Generation>> Start(
      const ServingContext& serving, Call& call,
      const lm::v1::GenerateRequest& request);

  // The same with this version, whatever model the request names. best() has
  // the `alternatives` most probable words in the place of each drawn word.
  // REQUIRES: alternatives <= size of the vocabulary, and 0 for a beam search.
  static absl::StatusOr<std::unique_ptr<Generation>> Start(
      const ServingContext& serving, Call& call, ModelHandle handle,
      const lm::v1::GenerateRequest& request, size_t alternatives);

  const LoadedVersion& model() const { return *handle_; }

  // The word that the last Next() drew: the one of its message, or what ended
  // the text, such as </s>. nullopt if it drew none.
  const std::optional<ScoredWord>& drawn() const { return drawn_; }

  // The most probable words in the place of drawn(), best first. Of the same
  // distribution, so equal words have the same bits.
  absl::Span<const ScoredWord> best() const { return best_; }

  // Draws the next word of several texts in one batch. The next Next() of each
  // writes it without a wait. REQUIRES: they are of one call and one version,
  // none is a beam search, and Next() has written what each drew before. Fails
  // as Batcher::Run() does.
  static Task<absl::Status> DrawTogether(absl::Span<Generation* const> group);

  // Writes the next message and returns true; after the last message, writes
  // nothing and returns false. Fails as Batcher::Run() does.
  Task<absl::StatusOr<bool>> Next(lm::v1::GenerateResponse* response);

 private:
  using End = lm::v1::GenerationEnd;

  Generation(const ServingContext& serving, Call& call, ModelHandle handle,
             const GenerationOptions& options, size_t alternatives,
             std::optional<EncodedTexts> source,
             absl::Span<const WordId> prompt);

  // Reserves from the budgets what the answer may take.
  absl::Status Reserve();

  // The number of words of the source, with </s>, that the search measures the
  // attention to; 0 if it needs no attention.
  size_t AttendedWords() const;

  // Sets the state that the text starts from.
  Task<absl::Status> Begin();
  // Reads unread_. Adds to *coverage the attention to each source word; it has
  // AttendedWords() elements.
  Task<absl::Status> ReadPrompt(std::vector<float>* coverage);
  Task<absl::Status> Search(lm::v1::GenerateResponse* response);
  // Whether a word is to be drawn, rather than the end to be told.
  bool draws() const { return !done_ && word_count_ < options_.max_words; }
  // Draws the next word from its distribution, or from the most probable words,
  // of which there must be enough.
  void DrawFrom(absl::Span<const float> log_probs);
  void DrawFromBest(absl::Span<const ScoredWord> best);
  void SetWord(lm::v1::GenerateResponse* response);
  void Finish(End::Reason reason, lm::v1::GenerateResponse* response);

  const ServingContext& serving_;
  Call& call_;
  const ModelHandle handle_;
  const LanguageModel& language_model_;
  const GenerationOptions options_;
  const size_t alternatives_;
  Budget::Reservation words_;
  Budget::Reservation state_bytes_;
  const std::optional<EncodedTexts> source_;
  SourceStates read_sources_;  // state_ refers to it
  Sampler sampler_;
  std::vector<std::byte> state_;  // after the words before unread_
  std::vector<WordId> unread_;    // the prompt; later the last word
  std::optional<ScoredWord> drawn_;
  std::vector<ScoredWord> best_;
  uint32_t word_count_ = 0;
  double log_prob_ = 0;
  bool begun_ = false;
  bool is_ahead_ = false;  // drawn_ is the word of the next message
  bool first_ = true;
  bool done_ = false;
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_HANDLERS_GENERATION_H_
