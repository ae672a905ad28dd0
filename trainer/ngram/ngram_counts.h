#ifndef LMSERVE_TRAINER_NGRAM_NGRAM_COUNTS_H_
#define LMSERVE_TRAINER_NGRAM_NGRAM_COUNTS_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "trainer/text/corpus.h"

namespace lmserve {

// The n-grams of one order with their counts, sorted by context (in the order
// of the level below), then by the id of their last word.
struct CountedLevel {
  std::vector<WordId> words;       // the last word of each n-gram
  std::vector<uint32_t> counts;    // how often it stands in the text
  std::vector<uint32_t> suffixes;  // order > 1: where the n-gram less its
                                   // first word stands in the level below
  // N-gram i is the context of the n-grams [children[i], children[i + 1]) of
  // the next order; size() + 1 elements, empty at the highest order.
  std::vector<uint32_t> children;

  size_t size() const { return words.size(); }
};

// All n-grams of a text, orders 1 to N; levels[k - 1] holds order k. Order 1
// holds every word of the vocabulary, in the order of the ids, <s> included.
struct NgramCounts {
  std::vector<CountedLevel> levels;
  WordId begin_sentence = 0;

  int order() const { return static_cast<int>(levels.size()); }
};

// Counts the n-grams of a corpus, orders 1 to `order`, on `threads` threads.
//
// Sorts all positions of the text by the words that follow: then every n-gram
// of every order is a run of neighbours, met in the order of the result. Takes
// 13 bytes a word of the text beside the result.
NgramCounts CountNgrams(const Corpus& corpus, int order, int threads);

// The counts that Kneser-Ney smoothing takes for order k < N (Chen and Goodman
// 1998, section 3; Heafield et al. 2013, section 3.2): the number of different
// words before an n-gram, or, of one that begins with <s>, its count.
std::vector<uint32_t> AdjustedCounts(const NgramCounts& counts, int k);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_NGRAM_NGRAM_COUNTS_H_
