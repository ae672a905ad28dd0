// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_CACHE_CACHE_OPTIONS_H_
#define LMSERVE_MODELS_CACHE_CACHE_OPTIONS_H_

#include <cstddef>
#include <vector>

#include "absl/status/status.h"
#include "models/neural/weight_matrix.h"

namespace lmserve {

// How a cache weighs the words that a text has had. With e_1 ... e_n the last
// words of the text, oldest first, a cache gives a word the probability
//
//   P(w) = sum_{i: e_i = w} K_i / sum_i K_i
enum class CacheKind {
  // The continuous cache (Grave, Joulin and Usunier 2017, "Improving neural
  // language models with a continuous cache", equation 2):
  //   K_i = exp(theta h_n . h_{i-1})
  // where h_{i-1} is the hidden state from which e_i was predicted, and h_n the
  // one from which the next word is predicted.
  kContinuous,
  // The n-gram cache (Kuhn and De Mori 1990; Jelinek et al. 1991), whose
  // weights decay (Clarkson and Robinson 1997):
  //   K_i = decay^(n-i) if the order - 1 words before e_i are the last words of
  //         the text, otherwise 0
  kNgram,
};

struct Cache {
  CacheKind kind = CacheKind::kContinuous;
  double weight = 0;  // in the mixture; at least 0
  double theta = 0;   // kContinuous: 0 to kMaxTheta
  int order = 1;      // kNgram: 1 to kMaxCacheOrder
  double decay = 1;   // kNgram: above 0, at most 1
};

inline constexpr double kMaxTheta = 1e6;
inline constexpr int kMaxCacheOrder = 8;
inline constexpr size_t kMaxCaches = 64;
inline constexpr size_t kMaxCacheHistory = 65'536;
// The largest state of a model with a cache, in bytes.
inline constexpr size_t kMaxCacheState = size_t{64} << 20;

struct CacheOptions {
  size_t history = 2000;  // the number of words that are kept
  // Of the hidden states that are kept for continuous caches: kFloat or kBf16.
  Precision keys = Precision::kFloat;
  std::vector<Cache> caches;  // the sum of their weights is at most 1
};

// Whether there is a continuous cache.
bool NeedsHidden(const CacheOptions& options);

// Returns INVALID_ARGUMENT, naming the field and what was expected, if a number
// is not in the range above, there are no or more than kMaxCaches caches, or
// the sum of the weights exceeds 1 by more than 1e-6.
absl::Status CheckCacheOptions(const CacheOptions& options);

}  // namespace lmserve

#endif  // LMSERVE_MODELS_CACHE_CACHE_OPTIONS_H_
