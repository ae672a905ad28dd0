#ifndef LMSERVE_MODELS_SAMPLER_H_
#define LMSERVE_MODELS_SAMPLER_H_

#include <cstdint>
#include <optional>
#include <random>
#include <vector>

#include "absl/container/flat_hash_set.h"
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

// Draws words from a model's distribution. The defaults sample it exactly, but
// for <unk>. The same seed draws the same words on every machine. One thread at
// a time; the model must outlive it.
class Sampler {
 public:
  Sampler(const LanguageModel& model, const SamplerOptions& options,
          uint64_t seed);

  // Draws the next word of a state, with ln P of it under the model itself; or
  // none, where every word that is left has probability 0.
  std::optional<ScoredWord> Draw(const std::byte* state);

  // Counts a word as used, for the penalty.
  void Use(WordId word);

 private:
  // A word that may be drawn.
  struct Weighted {
    ScoredWord word;
    float weight;  // ln of the odds after penalty and temperature
  };

  static bool Heavier(const Weighted& a, const Weighted& b);

  void CollectBest(const std::byte* state, size_t k);
  void CollectAll(const std::byte* state);
  void Add(const ScoredWord& word);
  void KeepTopK(size_t k);
  void KeepTopP();
  double Exponentiate();
  double Uniform();

  const LanguageModel& model_;
  const SamplerOptions options_;
  std::mt19937_64 random_;
  absl::flat_hash_set<WordId> used_;
  std::vector<Weighted> words_;  // of the draw being made
  std::vector<float> scratch_;
  std::vector<ScoredWord> best_;
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_SAMPLER_H_
