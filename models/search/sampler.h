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

// How a word is drawn. The steps, in this order: the odds of words already used
// are divided by the penalty; every probability is taken to the power of
// 1 / temperature; of the words only the top_k best, and of these the fewest
// best with the mass top_p, are left.
struct SamplerOptions {
  float temperature = 1;         // >= 0; below 1e-6 takes the best word
  uint32_t top_k = 0;            // 0: all
  float top_p = 1;               // in (0, 1]
  float repetition_penalty = 1;  // > 0
  bool allow_unknown = false;    // else <unk> is never drawn
};

// Draws words from a model's distributions. The defaults sample them exactly,
// but for <unk>. The same seed draws the same words, every time. One thread at
// a time.
class Sampler {
 public:
  Sampler(WordId unknown, const SamplerOptions& options, uint64_t seed);

  // What the next draw is made from: this many of the best words, as
  // LanguageModel::TopK() tells them, or, where it is 0, all.
  size_t best_wanted(WordId vocabulary) const;

  // Draw the next word, with ln P of it under the model itself; or none, where
  // every word that is left has probability 0. log_probs are of all words.
  std::optional<ScoredWord> DrawFromBest(absl::Span<const ScoredWord> best);
  std::optional<ScoredWord> DrawFromAll(absl::Span<const float> log_probs);

  // Counts a word as used, for the penalty.
  void Use(WordId word);

 private:
  // A word that may be drawn.
  struct Weighted {
    ScoredWord word;
    float weight;  // ln of the odds after penalty and temperature
  };

  static bool Heavier(const Weighted& a, const Weighted& b);

  // Whether a draw takes all words as they are, save their odds.
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
  std::vector<Weighted> words_;  // of the draw being made
  std::vector<float> odds_;
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_SEARCH_SAMPLER_H_
