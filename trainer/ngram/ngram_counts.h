// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_NGRAM_NGRAM_COUNTS_H_
#define LMSERVE_TRAINER_NGRAM_NGRAM_COUNTS_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "trainer/text/corpus.h"

namespace lmserve {

// The n-grams of one order with their counts. They are sorted by the index of
// their context in the next lower order, then by the id of their last word.
struct CountedLevel {
  std::vector<WordId> words;     // the last word of each n-gram
  std::vector<uint32_t> counts;  // of each n-gram in the text
  // Order > 1: the index, in the next lower order, of each n-gram without its
  // first word.
  std::vector<uint32_t> suffixes;
  // N-gram i is the context of the n-grams [children[i], children[i + 1]) of
  // the next order; size() + 1 elements, empty at the highest order.
  std::vector<uint32_t> children;

  size_t size() const { return words.size(); }
};

// All n-grams of a text; levels[k - 1] has those of order k. Order 1 has every
// word of the vocabulary, including <s>, in the order of the ids.
struct NgramCounts {
  std::vector<CountedLevel> levels;
  WordId begin_sentence = 0;

  int order() const { return static_cast<int>(levels.size()); }
};

// Counts the n-grams of a corpus, of orders 1 to `order`, with `threads`
// threads.
//
// All positions of the text are sorted by the words that start there. Then
// equal n-grams of every order are adjacent, in the order of the result.
// Besides the result, this needs 13 bytes of memory per word of the text.
NgramCounts CountNgrams(const Corpus& corpus, int order, int threads);

// Returns the counts that Kneser-Ney smoothing uses for an order k below the
// highest (Chen and Goodman 1998, section 3; Heafield et al. 2013,
// section 3.2): the number of different words that precede an n-gram, or the
// plain count of an n-gram that starts with <s>.
std::vector<uint32_t> AdjustedCounts(const NgramCounts& counts, int k);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_NGRAM_NGRAM_COUNTS_H_
