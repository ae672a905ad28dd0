// SPDX-License-Identifier: Apache-2.0
#include "server/handlers/generation_options.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "models/text.h"
#include "server/call/status.h"

namespace lmserve {
namespace {

constexpr uint32_t kDefaultMaxWords = 100;

absl::Status CheckRange(absl::string_view field, bool in_range,
                        absl::string_view expected, double found) {
  if (in_range && std::isfinite(found)) return absl::OkStatus();
  return InvalidField(field,
                      absl::StrCat("expected ", expected, ", found ", found));
}

absl::StatusOr<SamplerOptions> ParseSampler(
    const lm::v1::GenerateRequest& request) {
  SamplerOptions options;
  options.top_k = request.top_k();
  options.allow_unknown = request.allow_unknown();
  if (request.has_temperature()) options.temperature = request.temperature();
  if (request.has_top_p()) options.top_p = request.top_p();
  if (request.has_repetition_penalty()) {
    options.repetition_penalty = request.repetition_penalty();
  }
  for (const absl::Status& status :
       {CheckRange("temperature", options.temperature >= 0,
                   "a number of at least 0", options.temperature),
        CheckRange("top_p", options.top_p > 0 && options.top_p <= 1,
                   "a number in (0, 1]", options.top_p),
        CheckRange("repetition_penalty", options.repetition_penalty > 0,
                   "a positive number", options.repetition_penalty)}) {
    if (!status.ok()) return status;
  }
  return options;
}

// A beam search does not sample: it takes no options of the sampler.
absl::Status CheckSamplesNothing(const lm::v1::GenerateRequest& request) {
  for (const auto& [field, is_set] :
       {std::pair{"temperature", request.has_temperature()},
        std::pair{"top_k", request.top_k() != 0},
        std::pair{"top_p", request.has_top_p()},
        std::pair{"repetition_penalty", request.has_repetition_penalty()},
        std::pair{"seed", request.has_seed()},
        std::pair{"stop_words", !request.stop_words().empty()}}) {
    if (is_set) {
      return InvalidField(field, "expected no value beside beam_search");
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<BeamSearchOptions> ParseBeamSearch(
    const lm::v1::GenerateRequest& request, const Limits& limits) {
  const lm::v1::BeamSearch& search = request.beam_search();
  absl::Status status = CheckSamplesNothing(request);
  if (status.ok()) {
    status = CheckRange("beam_search.size", search.size() > 0,
                        "a number of at least 1", search.size());
  }
  if (status.ok()) {
    status = CheckLimit("beam_search.size", search.size(), limits.beam);
  }
  if (status.ok()) {
    status =
        CheckRange("beam_search.best", search.best() <= search.size(),
                   absl::StrCat("at most beam_search.size, ", search.size()),
                   search.best());
  }
  if (status.ok()) {
    status = CheckRange("beam_search.length_alpha", search.length_alpha() >= 0,
                        "a number of at least 0", search.length_alpha());
  }
  if (status.ok()) {
    status =
        CheckRange("beam_search.coverage_beta", search.coverage_beta() >= 0,
                   "a number of at least 0", search.coverage_beta());
  }
  if (!status.ok()) return status;
  BeamSearchOptions options;
  options.beam = search.size();
  options.length_alpha = search.length_alpha();
  options.coverage_beta = search.coverage_beta();
  options.allow_unknown = request.allow_unknown();
  return options;
}

// The coverage term of a beam search needs the attention to a source.
absl::Status CheckHasAttention(const LoadedVersion& loaded) {
  const TranslationModel* model = loaded.model().translation();
  if (model != nullptr && model->has_attention()) return absl::OkStatus();
  return InvalidField("beam_search.coverage_beta",
                      absl::StrCat("expected 0, because '", loaded.name(),
                                   "' has no attention"));
}

}  // namespace

absl::StatusOr<GenerationOptions> ParseGenerationOptions(
    const LoadedVersion& loaded, const Limits& limits,
    const lm::v1::GenerateRequest& request) {
  const absl::StatusOr<SamplerOptions> sampler = ParseSampler(request);
  if (!sampler.ok()) return sampler.status();
  GenerationOptions options;
  if (request.has_beam_search()) {
    absl::StatusOr<BeamSearchOptions> search = ParseBeamSearch(request, limits);
    if (!search.ok()) return search.status();
    options.beam_search = *search;
    options.best = std::max(1u, request.beam_search().best());
  }
  options.sampler = *sampler;
  options.seed =
      request.has_seed() ? request.seed() : uint64_t{std::random_device()()};
  options.max_words =
      request.max_words() == 0 ? kDefaultMaxWords : request.max_words();
  for (const absl::Status& status :
       {CheckLimit("max_words", options.max_words, limits.generated_words),
        CheckLimit("top_k", request.top_k(), limits.predictions),
        CheckLimit("stop_words", request.stop_words_size(),
                   limits.stop_words)}) {
    if (!status.ok()) return status;
  }
  if (options.beam_search.has_value()) {
    options.beam_search->max_words = options.max_words;
    if (options.beam_search->coverage_beta > 0) {
      absl::Status status = CheckHasAttention(loaded);
      if (!status.ok()) return status;
    }
  }
  const Vocabulary& vocabulary = loaded.model().vocabulary();
  for (int i = 0; i < request.stop_words_size(); ++i) {
    const std::string& word = request.stop_words(i);
    if (!IsWord(word)) {
      return InvalidField(absl::StrCat("stop_words[", i, "]"),
                          "expected a word without white space");
    }
    // The model never generates a word that it does not know.
    if (vocabulary.Contains(word)) {
      options.stop_words.insert(vocabulary.Find(word));
    }
  }
  return options;
}

}  // namespace lmserve
