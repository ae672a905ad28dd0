#include "models/sampler.h"

#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <limits>

namespace lmserve {
namespace {

// A smaller temperature would leave the range of a float.
bool IsGreedy(const SamplerOptions& options) {
  return options.temperature < 1e-6f;
}

}  // namespace

// Heavier first, equals by rising id.
bool Sampler::Heavier(const Weighted& a, const Weighted& b) {
  if (a.weight != b.weight) return a.weight > b.weight;
  return a.word.word < b.word.word;
}

Sampler::Sampler(const LanguageModel& model, const SamplerOptions& options,
                 uint64_t seed)
    : model_(model), options_(options), random_(seed) {}

void Sampler::Use(WordId word) {
  if (options_.repetition_penalty != 1) used_.insert(word);
}

std::optional<ScoredWord> Sampler::Draw(const std::byte* state) {
  words_.clear();
  const size_t k = IsGreedy(options_) ? 1 : options_.top_k;
  const bool raises_words = options_.repetition_penalty < 1 && !used_.empty();
  if (k > 0 && !raises_words) {
    CollectBest(state, k);
  } else {
    CollectAll(state);
  }
  if (k > 0) KeepTopK(k);
  if (words_.empty()) return std::nullopt;
  if (options_.top_p < 1) KeepTopP();
  const double total = Exponentiate();
  double left = Uniform() * total;
  size_t chosen = 0;
  while (chosen + 1 < words_.size() && (left -= scratch_[chosen]) >= 0) {
    ++chosen;
  }
  return words_[chosen].word;
}

// The k best after the penalty are among the k and as many more as it can have
// lowered; one more for <unk>.
void Sampler::CollectBest(const std::byte* state, size_t k) {
  const size_t size = model_.vocabulary().size();
  best_.resize(std::min(size, k + used_.size() + 1));
  model_.TopK({&state, 1}, best_.size(), absl::MakeSpan(best_));
  for (const ScoredWord& word : best_) Add(word);
}

void Sampler::CollectAll(const std::byte* state) {
  scratch_.resize(model_.vocabulary().size());
  model_.Distribution({&state, 1}, scratch_.data());
  words_.reserve(scratch_.size());
  for (WordId w = 0; w < scratch_.size(); ++w) Add({w, scratch_[w]});
}

void Sampler::Add(const ScoredWord& word) {
  if (word.log_prob == -std::numeric_limits<float>::infinity()) return;
  if (!options_.allow_unknown && word.word == model_.vocabulary().unknown()) {
    return;
  }
  float weight = word.log_prob;
  if (!used_.empty() && used_.contains(word.word)) {
    weight -= std::log(options_.repetition_penalty);
  }
  if (!IsGreedy(options_)) weight /= options_.temperature;
  words_.push_back({word, weight});
}

void Sampler::KeepTopK(size_t k) {
  const size_t kept = std::min(words_.size(), k);
  std::partial_sort(words_.begin(), words_.begin() + kept, words_.end(),
                    Heavier);
  words_.resize(kept);
}

// Sorts no more of the words than it must.
void Sampler::KeepTopP() {
  const double target = Exponentiate() * options_.top_p;
  const float most = std::max_element(words_.begin(), words_.end(),
                                      [](const Weighted& a, const Weighted& b) {
                                        return a.weight < b.weight;
                                      })
                         ->weight;
  double mass = 0;
  size_t kept = 0;
  for (size_t block = 64; kept < words_.size(); block *= 8) {
    const size_t end = std::min(words_.size(), kept + block);
    std::partial_sort(words_.begin() + kept, words_.begin() + end, words_.end(),
                      Heavier);
    while (kept < end) {
      mass += std::exp(words_[kept++].weight - most);
      if (mass >= target) {
        words_.resize(kept);
        return;
      }
    }
  }
}

// Sets scratch_ to the odds of the words, the best having 1; returns their sum.
double Sampler::Exponentiate() {
  scratch_.resize(words_.size());
  for (size_t i = 0; i < words_.size(); ++i) scratch_[i] = words_[i].weight;
  Eigen::Map<Eigen::ArrayXf> odds(scratch_.data(), scratch_.size());
  odds = (odds - odds.maxCoeff()).exp();
  double total = 0;
  for (float odd : scratch_) total += odd;
  return total;
}

// Uniform in [0, 1), the same from the same seed everywhere.
double Sampler::Uniform() {
  return static_cast<double>(random_() >> 11) * 0x1p-53;
}

}  // namespace lmserve
