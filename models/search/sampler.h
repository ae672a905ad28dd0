// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_SEARCH_SAMPLER_H_
#define LMSERVE_MODELS_SEARCH_SAMPLER_H_

#include <cstdint>
#include <optional>
#include <random>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/types/span.h"
#include "models/language_model.h"

namespace lmserve {

// How a word is drawn. The steps are applied in this order: divide the
// probability of each word that was already used by repetition_penalty; raise
// every probability to the power of 1 / temperature; keep the top_k best words;
// keep the smallest set of best words whose share of the remaining mass is at
// least top_p (Holtzman et al. 2020).
struct SamplerOptions {
  float temperature = 1;         // >= 0; below 1e-6: always the best word
  uint32_t top_k = 0;            // 0: all
  float top_p = 1;               // in (0, 1]
  float repetition_penalty = 1;  // > 0
  bool allow_unknown = false;    // false: <unk> is never drawn
};

// Draws words from the distributions of a model. With the default options it
// samples from the exact distribution without <unk>. The same seed draws the
// same words. Not thread-safe.
class Sampler {
 public:
  Sampler(WordId unknown, const SamplerOptions& options, uint64_t seed);

  // Returns how many of the best words, in the order of LanguageModel::TopK(),
  // DrawFromBest() needs for the next draw. 0 means that the draw needs the
  // whole distribution: call DrawFromAll(). `vocabulary` is the vocabulary
  // size.
  size_t best_wanted(WordId vocabulary) const;

  // Draws the next word. Returns it with its log-probability under the model,
  // before penalty and temperature, or nullopt if every remaining word has
  // probability 0. log_probs has one element for each word of the vocabulary.
  std::optional<ScoredWord> DrawFromBest(absl::Span<const ScoredWord> best);
  std::optional<ScoredWord> DrawFromAll(absl::Span<const float> log_probs);

  // Marks a word as used, for repetition_penalty.
  void Use(WordId word);

 private:
  // A word that may be drawn.
  struct Weighted {
    ScoredWord word;
    float weight;  // ln of the odds after penalty and temperature
  };

  static bool Heavier(const Weighted& a, const Weighted& b);

  // Whether a draw needs no selection or order of words: no top_k, no top_p.
  bool is_plain() const;
  std::optional<ScoredWord> DrawPlain(absl::Span<const float> log_probs);
  std::optional<ScoredWord> DrawCollected();
  void Collect(const ScoredWord& word);
  void KeepTopK(size_t k);
  void KeepTopP();
  double Exponentiate();
  size_t Pick(absl::Span<const float> odds);
  double Uniform();

  const WordId unknown_;
  const SamplerOptions options_;
  const float log_penalty_;
  std::mt19937_64 random_;
  absl::flat_hash_set<WordId> used_;
  // Buffers of the current draw.
  std::vector<Weighted> words_;
  std::vector<float> odds_;
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_SEARCH_SAMPLER_H_
