// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_HANDLERS_REPLIES_H_
#define LMSERVE_SERVER_HANDLERS_REPLIES_H_

#include <cstdint>

#include "absl/types/span.h"
#include "lm/v1/language_model.pb.h"
#include "model_store/loaded_version.h"
#include "model_store/model_store.h"
#include "models/search/beam_search.h"
#include "models/vocabulary.h"
#include "server/handlers/encoded_texts.h"
#include "server/handlers/word_rankings.h"

// Functions that write parts of responses. All are pure.
namespace lmserve {

// The memory of a string of a response, and of a number or two beside it.
inline constexpr uint64_t kReplyWordBytes = 64;

// The memory of a message of a response that has a few lists, without what is
// in the lists.
inline constexpr uint64_t kReplyMessageBytes = 200;

// Returns the memory that SetScores() and the scores themselves will take,
// without what SetRankings() adds.
uint64_t ScoresBytes(const Vocabulary& vocabulary, const EncodedTexts& texts,
                     bool per_word);

// Sets the name and version of the model that answered.
void SetModelVersion(const LoadedVersion& loaded,
                     lm::v1::ModelVersion* version);

// Sets what the store knows of a model or a reranker.
void SetModelInfo(const ModelStore::Entry& entry, lm::v1::ModelInfo* info);

// Adds the scores of all texts. `log_probs` has ln P of each word of the texts,
// parallel to texts.all_words(). `per_word`: with the scores of the words.
void SetScores(const Vocabulary& vocabulary, const EncodedTexts& texts,
               absl::Span<const float> log_probs, bool per_word,
               lm::v1::ScoreResponse* response);

// Adds the lengths of n-grams to the scores of the words. `lengths` is parallel
// to texts.all_words(). REQUIRES: SetScores() was called, with `per_word`.
void SetNgramLengths(const EncodedTexts& texts,
                     absl::Span<const uint8_t> lengths,
                     lm::v1::ScoreResponse* response);

// Returns the memory that SetFailures() will take.
uint64_t FailureBytes(const TextFailures& failures);

// Replaces the scores of the texts that failed by the reasons.
void SetFailures(const TextFailures& failures, lm::v1::ScoreResponse* response);

// Adds to the scores of the words what their distributions say: ranks and
// entropies, unless there are none, and the k best words if k is not 0.
// REQUIRES: SetScores() was called, with `per_word`.
void SetRankings(const Vocabulary& vocabulary, const EncodedTexts& texts,
                 const WordRankings& rankings, lm::v1::ScoreResponse* response);

// Adds a word to a prediction.
void AddNextWord(const Vocabulary& vocabulary, const ScoredWord& word,
                 lm::v1::NextWords* prediction);

// Sets a hypothesis of a beam search.
void SetHypothesis(const Vocabulary& vocabulary,
                   const BeamSearch::Hypothesis& hypothesis,
                   lm::v1::Hypothesis* message);

}  // namespace lmserve

#endif  // LMSERVE_SERVER_HANDLERS_REPLIES_H_
