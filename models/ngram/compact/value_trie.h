// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_NGRAM_COMPACT_VALUE_TRIE_H_
#define LMSERVE_MODELS_NGRAM_COMPACT_VALUE_TRIE_H_

#include <array>
#include <bit>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "models/ngram/compact/bits.h"
#include "models/ngram/compact/rank_trie.h"
#include "models/ngram/compact/value_codes.h"
#include "models/ngram/ngram_table.h"
#include "models/vocabulary.h"

namespace lmserve {

// The compact layout of ngram.bin for any back-off model: log-probabilities and
// back-off weights, exact in about 4.5 bytes per n-gram or quantized in less.
// model_store/FORMAT.md specifies it.
//
// The n-grams form the trie of rank_trie.h, whose counts are all 1 and take no
// room. Values are stored by order and id; see value_codes.h. The trie needs
// the suffix of every n-gram, so the suffixes that a pruned model lacks are in
// it as blanks; see suffix_closure.h.

// The first bytes of the file. A ValueOrderRecord follows for each order, then
// a RankLevelRecord for each order of contexts.
struct ValueTrieHeader {
  std::array<char, 8> magic;  // "lmvalue1"
  uint32_t order;
  uint32_t vocabulary_size;
  uint64_t file_size;
  uint32_t rule;              // UnseenRule
  float log_alpha;            // of kStupid; otherwise 0
  uint64_t unigram_order_at;  // words by descending probability, bit-packed
};

inline constexpr std::array<char, 8> kValueTrieMagic = {'l', 'm', 'v', 'a',
                                                        'l', 'u', 'e', '1'};

struct ValueOrderRecord {
  uint64_t blanks;        // number
  ValueRecord log_probs;  // of the n-grams of this order
  ValueRecord backoffs;   // all 0 for the highest order
};

// What the trie of a values file has for smoothing. With these numbers no child
// has a share, so all weights of contexts are {1 / size, 1}.
inline constexpr CountSmoothing kNoSmoothing = {{0, 1, 1, 1}, 0};

// The back-off weight of an n-gram whose weight is 0 (ln 1) and whose children
// are all blanks: it does not matter for the words after it. Others with the
// weight 0 have +0.
inline constexpr float kNoBackoff = -0.0f;

// Views of the sections of a file. Does not own the bytes, which must outlive
// all copies. Immutable after Parse(): any number of threads may use it.
struct ValueTrie {
  // Whether bytes are a file of this layout, by their magic.
  static bool Matches(absl::string_view bytes);

  // Checks every byte that look-ups rely on, like CountTrie::Parse(). Returns
  // INVALID_ARGUMENT with the offset, the expected and the found value if one
  // is wrong. REQUIRES: bytes are aligned to 8 bytes.
  static absl::StatusOr<ValueTrie> Parse(absl::string_view bytes,
                                         WordId vocabulary_size,
                                         WordId begin_sentence);

  int order() const { return static_cast<int>(levels.size()) + 1; }
  // Returns the number of entries of an order, blanks included.
  uint64_t Entries(int order) const {
    return order == 1 ? vocabulary_size : levels[order - 2].children;
  }

  // Returns ln P(word) without context.
  float UnigramLogProb(WordId word) const { return log_probs[0].Value(word); }

  // Returns the word with the i-th highest probability without context.
  WordId BestUnigram(WordId i) const {
    const int width = BitWidth(vocabulary_size - 1);
    return static_cast<WordId>(
        ReadBits(unigram_order, uint64_t{i} * width, width));
  }

  // Whether an n-gram matters for the words after it. REQUIRES: order <
  // order().
  bool Matters(int order, NgramId id) const {
    return std::bit_cast<uint32_t>(backoffs[order - 1].Value(id)) !=
           std::bit_cast<uint32_t>(kNoBackoff);
  }

  WordId vocabulary_size = 0;
  UnseenRule rule = UnseenRule::kBackOff;
  float log_alpha = 0;
  const uint8_t* unigram_order = nullptr;
  std::vector<RankLevel> levels;      // levels[k - 1]: contexts of order k
  std::vector<ValueCodes> log_probs;  // [k - 1]: n-grams of order k
  std::vector<ValueCodes> backoffs;   // [k - 1], but for the highest order
  std::vector<uint64_t> blanks;       // [k - 1]: their number
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NGRAM_COMPACT_VALUE_TRIE_H_
