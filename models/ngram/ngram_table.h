// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_NGRAM_NGRAM_TABLE_H_
#define LMSERVE_MODELS_NGRAM_NGRAM_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "models/vocabulary.h"

namespace lmserve {

inline constexpr int kMaxNgramOrder = 32;

// The upper limit of the logarithm of a back-off weight. It is far above what
// any smoothing method gives, and sums of such logarithms stay finite.
inline constexpr float kMaxBackOff = 1000;

// The rule for the probability of a word w after a context h if the model has
// no n-gram h w. h' is h without its first word.
enum class UnseenRule : uint32_t {
  // P(w | h) = backoff(h) P(w | h'), where backoff(h) is 1 if the model does
  // not have h. This is the rule of ARPA files.
  kBackOff = 0,
  // P(w | h) = backoff(h), the same for every such word. For additive
  // smoothing.
  kFloor = 1,
  // Stupid back-off: S(w | h) = alpha S(w | h') for every context h, whether
  // the model has h or not (Brants et al. 2007, equation 5).
  kStupid = 2,
};

// The n-grams of one order, sorted by context (in the order of the contexts in
// the level of the order below), then by the id of the last word.
struct NgramLevel {
  std::vector<WordId> words;     // the last word of each n-gram
  std::vector<float> log_probs;  // ln P(word | context), may be -infinity
  std::vector<float> backoffs;   // ln back-off weight; empty at highest order
  // N-gram i is the context of the n-grams [children[i], children[i + 1]) of
  // the next order; size() + 1 elements, empty at the highest order.
  std::vector<uint32_t> children;

  size_t size() const { return words.size(); }
};

// An n-gram model as a tree of contexts, the output of training and of the ARPA
// reader. levels[k - 1] has the n-grams of order k. Order 1 has every word of
// the vocabulary, in the order of the ids.
struct NgramTable {
  UnseenRule rule = UnseenRule::kBackOff;
  float log_alpha = 0;  // ln alpha of kStupid; otherwise 0
  std::vector<NgramLevel> levels;

  int order() const { return static_cast<int>(levels.size()); }
};

// Returns INVALID_ARGUMENT if a log-probability is above 0 by more than
// rounding explains, if a back-off weight is above kMaxBackOff, or if one is
// NaN.
absl::Status CheckNgramValues(const NgramTable& table);

// Return what files store for the log-probability of an n-gram, and for the
// back-off weight of one that is a context, or is not. REQUIRES:
// CheckNgramValues() is OK.
float StoredLogProb(float log_prob);
float StoredBackoff(UnseenRule rule, bool is_context, float backoff);

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NGRAM_NGRAM_TABLE_H_
