// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_NGRAM_COMPACT_COUNT_TRIE_H_
#define LMSERVE_MODELS_NGRAM_COMPACT_COUNT_TRIE_H_

#include <array>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "models/ngram/compact/count_smoothing.h"
#include "models/ngram/compact/rank_trie.h"
#include "models/vocabulary.h"

namespace lmserve {

// The compact layout of ngram.bin with counts: a trie of ranks (rank_trie.h)
// and the counts of its n-grams, from which the probabilities are computed when
// they are asked for. It takes about 1.2 bytes per n-gram, because smoothing is
// a function of the counts of the children of a context, which are small
// integers; see CountWeights. model_store/FORMAT.md specifies it.

// The first bytes of the file. Sections follow, each at a multiple of 64 bytes
// and followed by at least kSectionPadding bytes that belong to the file, so
// that code may load whole vectors. All offsets are from the start of the file.
struct CountTrieHeader {
  std::array<char, 8> magic;  // "lmcount1"
  uint32_t order;
  uint32_t vocabulary_size;
  uint64_t file_size;
  uint64_t unigram_counts_at;   // uint32_t by word, or uint64_t; see below
  uint64_t unigram_order_at;    // words by descending probability, bit-packed
  uint64_t unigram_count_size;  // bytes of a count: 4 or 8
  CountSmoothing smoothing;     // of the unigrams
};

inline constexpr std::array<char, 8> kCountTrieMagic = {'l', 'm', 'c', 'o',
                                                        'u', 'n', 't', '1'};

// Views of the sections of a file. Does not own the bytes, which must outlive
// all copies. Immutable after Parse(): any number of threads may use it.
struct CountTrie {
  // Whether bytes are a file of this layout, by their magic.
  static bool Matches(absl::string_view bytes);

  // Checks every offset, number and bit string, so that look-ups need no checks
  // but this: a rank of order 3 or more may be too large for the suffix's
  // number of children, which is compared when it is used. Returns
  // INVALID_ARGUMENT with the offset, the expected and the found value if one
  // is wrong. Decodes the whole file. REQUIRES: bytes are aligned to 8 bytes.
  static absl::StatusOr<CountTrie> Parse(absl::string_view bytes,
                                         WordId vocabulary_size,
                                         WordId begin_sentence);

  int order() const { return static_cast<int>(levels.size()) + 1; }
  // Returns the number of n-grams of an order.
  uint64_t Count(int order) const {
    return order == 1 ? vocabulary_size : levels[order - 2].children;
  }
  uint64_t UnigramCount(WordId word) const {
    return counts32 != nullptr ? counts32[word] : counts64[word];
  }
  // Returns P(word) without context.
  double UnigramProbability(WordId word) const {
    if (word == begin_sentence) return 0;
    return UnigramProbabilityOf(UnigramCount(word));
  }
  // The same for a word with this count that is not <s>.
  double UnigramProbabilityOf(uint64_t count) const {
    return unigrams.Discounted(count) * unigram_weights.inverse + uniform;
  }
  // Returns P(path.word | the last of the contexts for which FindPath() found
  // the path).
  double Probability(absl::Span<const RankContext> contexts,
                     const ChildPath& path) const;
  // Sets the weights of the unigrams from their counts.
  void ComputeUnigramWeights();
  // Returns the word with the i-th highest probability without context.
  WordId BestUnigram(WordId i) const;

  WordId vocabulary_size = 0;
  WordId begin_sentence = 0;
  const uint32_t* counts32 = nullptr;  // of the unigrams, or
  const uint64_t* counts64 = nullptr;
  const uint8_t* unigram_order = nullptr;
  CountSmoothing unigrams = {};
  CountWeights unigram_weights = {};
  double uniform = 0;  // unigram_weights.leftover / number of predicted words
  std::vector<RankLevel> levels;  // levels[k - 1]: contexts of order k
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NGRAM_COMPACT_COUNT_TRIE_H_
