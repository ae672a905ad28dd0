#ifndef LMSERVE_MODELS_NGRAM_NGRAM_TABLE_H_
#define LMSERVE_MODELS_NGRAM_NGRAM_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "models/vocabulary.h"

namespace lmserve {

inline constexpr int kMaxNgramOrder = 16;

// What the probability of a word w is after a context h that was seen without
// it; h' is h less its first word.
enum class UnseenRule : uint32_t {
  // P(w | h) = backoff(h) P(w | h'). A context that was never seen costs
  // nothing. What an ARPA file can say.
  kBackOff = 0,
  // P(w | h) = backoff(h): the same for every such word. Additive smoothing.
  kFloor = 1,
  // S(w | h) = alpha S(w | h') for every context, seen or not (Brants et al.
  // 2007, equation 5).
  kStupid = 2,
};

// The n-grams of one order, sorted by context (in the order of the level
// below), then by the id of their last word.
struct NgramLevel {
  std::vector<WordId> words;     // the last word of each n-gram
  std::vector<float> log_probs;  // ln P(word | context); -inf allowed
  std::vector<float> backoffs;   // ln back-off weight; empty at highest order
  // N-gram i is the context of the n-grams [children[i], children[i + 1]) of
  // the next order; size() + 1 elements, empty at the highest order.
  std::vector<uint32_t> children;

  size_t size() const { return words.size(); }
};

// An n-gram model as a training method or an ARPA file gives it: a tree of
// contexts. levels[k - 1] holds order k; order 1 holds every word of the
// vocabulary, in the order of the ids.
struct NgramTable {
  UnseenRule rule = UnseenRule::kBackOff;
  float log_alpha = 0;  // of kStupid
  std::vector<NgramLevel> levels;

  int order() const { return static_cast<int>(levels.size()); }
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NGRAM_NGRAM_TABLE_H_
