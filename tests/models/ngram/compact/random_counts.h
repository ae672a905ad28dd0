// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TESTS_MODELS_NGRAM_COMPACT_RANDOM_COUNTS_H_
#define LMSERVE_TESTS_MODELS_NGRAM_COMPACT_RANDOM_COUNTS_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "models/ngram/compact/count_trie.h"
#include "models/vocabulary.h"

namespace lmserve {

// The counts of a random n-gram model, and a naive reference for its
// probabilities. The children of each context are a random subset of those of
// its suffix. Not thread-safe.
class RandomCounts {
 public:
  struct Options {
    int order = 4;
    WordId words = 300;
    uint32_t seed = 1;
    // One in `large_share` contexts has up to `most_children` children; the
    // others have at most 20.
    uint32_t large_share = 50;
    uint32_t most_children = 250;
    // The highest count of one n-gram in a thousand; others are small.
    uint64_t most_count = 100'000;
    CountSmoothing smoothing = {{0, 0.6, 1.1, 1.4}, 0};
  };
  using Words = std::vector<WordId>;
  using Children = std::map<WordId, uint64_t>;  // word to count

  explicit RandomCounts(const Options& options);

  // Returns the file in the compact layout.
  std::string Build() const;

  // Returns a vocabulary of as many words; <unk>, <s> and </s> are the words 0,
  // 1 and 2.
  Vocabulary MakeVocabulary() const;

  // Returns P(word | context), where the context is the longest that matters.
  double Probability(const Words& context, WordId word) const;

  // The children of a context; contexts of order k are in level k - 1, sorted.
  const std::map<Words, Children>& level(int k) const { return levels_[k - 1]; }
  int order() const { return options_.order; }

  // Returns a random word: mostly one that the model knows after a context.
  WordId RandomWord(const Words& context, uint32_t random) const;

 private:
  const Options options_;
  std::vector<uint64_t> unigrams_;
  std::vector<std::map<Words, Children>> levels_;
};

}  // namespace lmserve

#endif  // LMSERVE_TESTS_MODELS_NGRAM_COMPACT_RANDOM_COUNTS_H_
