// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_HANDLERS_PREDICTION_PLACES_H_
#define LMSERVE_SERVER_HANDLERS_PREDICTION_PLACES_H_

#include <cstddef>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "model_store/loaded_version.h"
#include "server/call/call.h"
#include "server/call/task.h"
#include "server/handlers/encoded_texts.h"
#include "server/handlers/serving_context.h"

namespace lmserve {

// The places of a request in which a model predicts a word: after contexts, or
// for a bidirectional model in gaps. One thread at a time. The functions fail
// as Batcher::Run() does.
class PredictionPlaces {
 public:
  virtual ~PredictionPlaces() = default;

  // Returns the k best words of each place, (places, k), best first.
  virtual Task<absl::StatusOr<std::vector<ScoredWord>>> Best(size_t k) = 0;

  // Returns the k best of the words in each place, (places, k), best first. The
  // words must last until the task is done. REQUIRES: k <= words.size().
  virtual Task<absl::StatusOr<std::vector<ScoredWord>>> BestOf(
      absl::Span<const WordId> words, size_t k) = 0;

  // Returns ln P of each of the words in each place, (places, words). The words
  // must last until the task is done.
  virtual Task<absl::StatusOr<std::vector<float>>> Rate(
      absl::Span<const WordId> words) = 0;
};

// Makes the places after the first `contexts` of the texts or, for a
// bidirectional model, the gaps between these and the other texts, their
// suffixes; if there are no others, all suffixes are empty. The arguments must
// outlive the result. REQUIRES: the model is not a translation model.
std::unique_ptr<PredictionPlaces> MakePredictionPlaces(
    const ServingContext& serving, Call& call, const LoadedVersion& loaded,
    const EncodedTexts& texts, size_t contexts);

}  // namespace lmserve

#endif  // LMSERVE_SERVER_HANDLERS_PREDICTION_PLACES_H_
