// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_HANDLERS_WORD_RANKINGS_H_
#define LMSERVE_SERVER_HANDLERS_WORD_RANKINGS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "model_store/loaded_version.h"
#include "models/language_model.h"
#include "server/call/call.h"
#include "server/call/task.h"
#include "server/handlers/encoded_texts.h"
#include "server/handlers/serving_context.h"

namespace lmserve {

// What the distributions say from which the words of texts were drawn. The
// arrays are parallel to EncodedTexts::all_words(). ranks and entropies are
// empty if they are not asked for.
struct WordRankings {
  std::vector<float> log_probs;
  std::vector<uint32_t> ranks;   // see RankOf()
  std::vector<float> entropies;  // see Entropy()
  size_t k = 0;
  std::vector<ScoredWord> best;  // the k best words, (words, k)
};

// Computes a whole distribution for each word of the texts, and all values of a
// word from that one: the k best words and, with `ranks`, ranks and entropies.
// `sources` and `include_begin` are as for ScoreTexts(). All arguments must
// last until the task is done. Fails as Batcher::Run() does, with
// RESOURCE_EXHAUSTED if the states of the texts do not fit into their budget,
// and for a bidirectional model if there are too many words to read.
Task<absl::StatusOr<WordRankings>> RankWords(
    const ServingContext& serving, Call& call, const LoadedVersion& loaded,
    const EncodedTexts& texts, const EncodedTexts* sources, bool include_begin,
    size_t k, bool ranks);

}  // namespace lmserve

#endif  // LMSERVE_SERVER_HANDLERS_WORD_RANKINGS_H_
