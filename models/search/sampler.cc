// SPDX-License-Identifier: Apache-2.0
#include "models/search/sampler.h"

#include <Eigen/Core>
#include <algorithm>
#include <cmath>

#include "models/neural/kernels.h"

namespace lmserve {
namespace {

// Dividing log-probabilities by a smaller temperature could overflow a float.
bool IsGreedy(const SamplerOptions& options) {
  return options.temperature < 1e-6f;
}

}  // namespace

// Orders by descending weight, equal ones by ascending id.
bool Sampler::Heavier(const Weighted& a, const Weighted& b) {
  if (a.weight != b.weight) return a.weight > b.weight;
  return a.word.word < b.word.word;
}

Sampler::Sampler(WordId unknown, const SamplerOptions& options, uint64_t seed)
    : unknown_(unknown),
      options_(options),
      log_penalty_(std::log(options.repetition_penalty)),
      random_(seed) {}

void Sampler::Use(WordId word) {
  if (options_.repetition_penalty != 1) used_.insert(word);
}

// A penalty above 1 lowers only the used words, so the k best words after the
// penalty are among the k + used_.size() best before it. One more word makes up
// for <unk>, which is not drawn. A penalty below 1 can raise any word: then all
// words are needed.
size_t Sampler::best_wanted(WordId vocabulary) const {
  const size_t k = IsGreedy(options_) ? 1 : options_.top_k;
  const bool raises_words = options_.repetition_penalty < 1 && !used_.empty();
  if (k == 0 || raises_words) return 0;
  return std::min<size_t>(vocabulary, k + used_.size() + 1);
}

std::optional<ScoredWord> Sampler::DrawFromBest(
    absl::Span<const ScoredWord> best) {
  words_.clear();
  for (const ScoredWord& word : best) Collect(word);
  return DrawCollected();
}

std::optional<ScoredWord> Sampler::DrawFromAll(
    absl::Span<const float> log_probs) {
  if (is_plain()) return DrawPlain(log_probs);
  words_.clear();
  words_.reserve(log_probs.size());
  for (WordId w = 0; w < log_probs.size(); ++w) Collect({w, log_probs[w]});
  return DrawCollected();
}

bool Sampler::is_plain() const {
  return !IsGreedy(options_) && options_.top_k == 0 && options_.top_p == 1;
}

std::optional<ScoredWord> Sampler::DrawPlain(
    absl::Span<const float> log_probs) {
  odds_.assign(log_probs.begin(), log_probs.end());
  if (!options_.allow_unknown) odds_[unknown_] = kImpossible;
  for (WordId word : used_) odds_[word] -= log_penalty_;
  Eigen::Map<Eigen::ArrayXf> odds(odds_.data(), odds_.size());
  if (options_.temperature != 1) odds /= options_.temperature;
  if (odds.maxCoeff() == kImpossible) return std::nullopt;
  SoftmaxInPlace(absl::MakeSpan(odds_));
  const auto word = static_cast<WordId>(Pick(odds_));
  return ScoredWord{word, log_probs[word]};
}

void Sampler::Collect(const ScoredWord& word) {
  if (word.log_prob == kImpossible) return;
  if (!options_.allow_unknown && word.word == unknown_) return;
  float weight = word.log_prob;
  if (!used_.empty() && used_.contains(word.word)) weight -= log_penalty_;
  if (!IsGreedy(options_)) weight /= options_.temperature;
  words_.push_back({word, weight});
}

std::optional<ScoredWord> Sampler::DrawCollected() {
  const size_t k = IsGreedy(options_) ? 1 : options_.top_k;
  if (k > 0) KeepTopK(k);
  if (words_.empty()) return std::nullopt;
  if (options_.top_p < 1) KeepTopP();
  Exponentiate();
  return words_[Pick(odds_)].word;
}

void Sampler::KeepTopK(size_t k) {
  const size_t kept = std::min(words_.size(), k);
  std::partial_sort(words_.begin(), words_.begin() + kept, words_.end(),
                    Heavier);
  words_.resize(kept);
}

// Sorts the words in growing blocks, and only until their mass reaches top_p.
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

// Sets odds_ to exp(weight) of each of words_, scaled so that the largest is 1.
// Returns their sum.
double Sampler::Exponentiate() {
  odds_.resize(words_.size());
  for (size_t i = 0; i < words_.size(); ++i) odds_[i] = words_[i].weight;
  Eigen::Map<Eigen::ArrayXf> odds(odds_.data(), odds_.size());
  odds = (odds - odds.maxCoeff()).exp();
  double total = 0;
  for (float odd : odds_) total += odd;
  return total;
}

// Draws an index with a probability proportional to its odds: first a block of
// indices, then one index in the block.
size_t Sampler::Pick(absl::Span<const float> odds) {
  constexpr size_t kBlock = 512;
  std::vector<double> sums;
  double total = 0;
  for (size_t begin = 0; begin < odds.size(); begin += kBlock) {
    const auto block = odds.subspan(begin, kBlock);
    sums.push_back(
        Eigen::Map<const Eigen::ArrayXf>(block.data(), block.size()).sum());
    total += sums.back();
  }
  double left = Uniform() * total;
  size_t block = 0;
  while (block + 1 < sums.size() && left >= sums[block]) left -= sums[block++];
  const size_t begin = block * kBlock;
  const size_t end = std::min(odds.size(), begin + kBlock);
  // Because of rounding, `left` may stay positive to the end of the block. The
  // last index with positive odds is drawn then, never one with odds of 0.
  size_t chosen = begin;
  for (size_t i = begin; i < end; ++i) {
    if (odds[i] == 0) continue;
    chosen = i;
    if ((left -= odds[i]) < 0) break;
  }
  return chosen;
}

// Returns a uniform number in [0, 1). Unlike std::uniform_real_distribution, it
// gives the same numbers for a seed with every standard library.
double Sampler::Uniform() {
  return static_cast<double>(random_() >> 11) * 0x1p-53;
}

}  // namespace lmserve
