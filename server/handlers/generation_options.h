// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_HANDLERS_GENERATION_OPTIONS_H_
#define LMSERVE_SERVER_HANDLERS_GENERATION_OPTIONS_H_

#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "lm/v1/language_model.pb.h"
#include "model_store/loaded_version.h"
#include "models/search/beam_search.h"
#include "models/search/sampler.h"
#include "models/vocabulary.h"
#include "server/call/limits.h"

namespace lmserve {

// How a text is generated.
struct GenerationOptions {
  // If set, the text is found by a beam search; else it is sampled.
  std::optional<BeamSearchOptions> beam_search;
  size_t best = 1;  // hypotheses of the beam search to return
  SamplerOptions sampler;
  uint64_t seed = 0;
  uint32_t max_words = 0;
  absl::flat_hash_set<WordId> stop_words;
};

// Reads the options of a request. Without a seed in the request it makes a
// random one. Fails with INVALID_ARGUMENT or RESOURCE_EXHAUSTED, naming the
// field. REQUIRES: the model is not bidirectional.
absl::StatusOr<GenerationOptions> ParseGenerationOptions(
    const LoadedVersion& loaded, const Limits& limits,
    const lm::v1::GenerateRequest& request);

}  // namespace lmserve

#endif  // LMSERVE_SERVER_HANDLERS_GENERATION_OPTIONS_H_
