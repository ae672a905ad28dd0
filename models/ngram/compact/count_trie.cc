// SPDX-License-Identifier: Apache-2.0
#include "models/ngram/compact/count_trie.h"

#include "models/ngram/compact/bits.h"

namespace lmserve {

double CountTrie::Probability(absl::Span<const RankContext> contexts,
                              const ChildPath& path) const {
  double probability = UnigramProbability(path.word);
  for (size_t k = 0; k < contexts.size(); ++k) {
    probability = contexts[k].weights().leftover * probability +
                  contexts[k].Share(path.positions[k]);
  }
  return probability;
}

void CountTrie::ComputeUnigramWeights() {
  CountSums sums;
  for (WordId w = 0; w < vocabulary_size; ++w) {
    sums.Add(w == begin_sentence ? 0 : UnigramCount(w));
  }
  unigram_weights = sums.Weights(unigrams);
  uniform = unigram_weights.leftover / (vocabulary_size - 1);
}

WordId CountTrie::BestUnigram(WordId i) const {
  const int width = BitWidth(vocabulary_size - 1);
  return static_cast<WordId>(
      ReadBits(unigram_order, uint64_t{i} * width, width));
}

}  // namespace lmserve
