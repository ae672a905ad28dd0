#ifndef LMSERVE_SERVER_HANDLERS_GENERATION_H_
#define LMSERVE_SERVER_HANDLERS_GENERATION_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "lm/v1/language_model.pb.h"
#include "model_store/loaded_version.h"
#include "models/search/beam_search.h"
#include "models/search/sampler.h"
#include "server/call/call.h"
#include "server/call/task.h"
#include "server/handlers/encoded_texts.h"
#include "server/handlers/serving_context.h"
#include "server/handlers/sources.h"

namespace lmserve {

// One answer of LanguageModelService.Generate being written, a word at a time
// or, of a beam search, all at once.
// Holds its model version. One thread at a time; serving and call must outlive
// it.
class Generation {
 public:
  static absl::StatusOr<std::unique_ptr<Generation>> Start(
      const ServingContext& serving, Call& call,
      const lm::v1::GenerateRequest& request);

  const LoadedVersion& model() const { return *handle_; }

  // Writes the next message: a word, or the end, after which it is false and
  // writes nothing. Fails as the batcher does.
  Task<absl::StatusOr<bool>> Next(lm::v1::GenerateResponse* response);

 private:
  using End = lm::v1::GenerateResponse::End;

  struct Options {
    std::optional<BeamSearchOptions> beam_search;
    size_t best = 1;  // hypotheses of it to return
    SamplerOptions sampler;
    uint64_t seed;
    uint32_t max_words;
    absl::flat_hash_set<WordId> stop_words;
  };

  Generation(const ServingContext& serving, Call& call, ModelHandle handle,
             const Options& options, std::optional<EncodedTexts> source,
             absl::Span<const WordId> prompt);

  static absl::StatusOr<Options> ParseOptions(
      const LanguageModel& model, const Limits& limits,
      const lm::v1::GenerateRequest& request);

  // Takes what the answer will hold of the budgets.
  absl::Status Reserve();

  // The words of the source, and </s>, whose attention counts; 0: none does.
  size_t WordsToLookAt() const;

  // Sets the state that the text starts from.
  Task<absl::Status> Begin();
  // Reads unread_; adds to *looked_at how much it looks at those words.
  Task<absl::Status> ReadPrompt(std::vector<float>* looked_at);
  Task<absl::Status> Search(lm::v1::GenerateResponse* response);
  // Reads unread_, and draws what comes next into drawn_.
  Task<absl::Status> Draw();
  void SetWord(lm::v1::GenerateResponse* response);
  void Finish(End::Reason reason, lm::v1::GenerateResponse* response);

  const ServingContext& serving_;
  Call& call_;
  const ModelHandle handle_;
  const LanguageModel& language_model_;
  const Options options_;
  Budget::Reservation words_;
  Budget::Reservation state_bytes_;
  const std::optional<EncodedTexts> source_;
  SourceStates read_sources_;  // which the state refers to
  Sampler sampler_;
  std::vector<std::byte> state_;  // before unread_
  std::vector<WordId> unread_;    // the prompt, then the last word
  std::optional<ScoredWord> drawn_;
  uint32_t word_count_ = 0;
  double log_prob_ = 0;
  bool begun_ = false;
  bool first_ = true;
  bool done_ = false;
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_HANDLERS_GENERATION_H_
