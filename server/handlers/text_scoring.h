// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_HANDLERS_TEXT_SCORING_H_
#define LMSERVE_SERVER_HANDLERS_TEXT_SCORING_H_

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

// Returns ln P of each word of the texts, parallel to texts.all_words(): given
// <s> and the words before it or, if the model is bidirectional, given all
// other words of its text. `sources` has what the texts translate, one source
// for all texts or one for each; it is null unless the model is a translation
// model.
Task<absl::StatusOr<std::vector<float>>> ScoreTexts(
    const ServingContext& serving, Call& call, const LoadedVersion& loaded,
    const EncodedTexts& texts, const EncodedTexts* sources);

// Returns ln P of each text, the sum over its words as above, and ln P of its
// </s>. Texts that are in serving.score_cache cost no work of the model. The
// others are scored in one batch and added to the cache.
Task<absl::StatusOr<std::vector<ScoreCache::Score>>> ScoreWholeTexts(
    const ServingContext& serving, Call& call, const ModelHandle& model,
    const EncodedTexts& texts, const EncodedTexts* sources);

}  // namespace lmserve

#endif  // LMSERVE_SERVER_HANDLERS_TEXT_SCORING_H_
