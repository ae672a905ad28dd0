// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_HANDLERS_TEXT_SCORING_H_
#define LMSERVE_SERVER_HANDLERS_TEXT_SCORING_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "model_store/loaded_version.h"
#include "server/call/call.h"
#include "server/call/limits.h"
#include "server/call/task.h"
#include "server/handlers/encoded_texts.h"
#include "server/handlers/score_cache.h"
#include "server/handlers/serving_context.h"

// Scores texts by models of every kind. Any number of threads may call these
// functions. All arguments must last until the task is done. They fail as
// Batcher::Run() does.
namespace lmserve {

// Checks how many words a bidirectional model would read to score the texts:
// each text once for each of its words.
absl::Status CheckWordsRead(const EncodedTexts& texts, const Limits& limits);

// What to score, and what to return.
struct TextScoringOptions {
  // false: the texts are not read after <s>, but from the state that
  // LanguageModel::StartEmpty() writes. REQUIRES: the model has that state.
  bool include_begin = true;
  // REQUIRES: LanguageModel::has_ngram_lengths().
  bool ngram_lengths = false;
};

// The arrays are parallel to EncodedTexts::all_words().
struct ScoredTexts {
  std::vector<float> log_probs;
  // See LanguageModel::Query; empty unless the options ask for them.
  std::vector<uint8_t> ngram_lengths;
};

// Writes the state before each text.
void StartTexts(const LanguageModel& model, bool include_begin,
                std::byte* state);

// Returns ln P of each word of the texts: given <s> and the words before it or,
// if the model is bidirectional, given all other words of its text. `sources`
// has what the texts translate, one source for all texts or one for each; it is
// null unless the model is a translation model.
Task<absl::StatusOr<ScoredTexts>> ScoreTexts(const ServingContext& serving,
                                             Call& call,
                                             const LoadedVersion& loaded,
                                             const EncodedTexts& texts,
                                             const EncodedTexts* sources,
                                             TextScoringOptions options = {});

// Returns ln P of each text, the sum over its words as above, and ln P of its
// </s>. Texts that are in serving.score_cache cost no work of the model. The
// others are scored in one batch and added to the cache.
Task<absl::StatusOr<std::vector<ScoreCache::Score>>> ScoreWholeTexts(
    const ServingContext& serving, Call& call, const ModelHandle& model,
    const EncodedTexts& texts, const EncodedTexts* sources);

}  // namespace lmserve

#endif  // LMSERVE_SERVER_HANDLERS_TEXT_SCORING_H_
