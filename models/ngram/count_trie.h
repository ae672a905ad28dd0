// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_NGRAM_COUNT_TRIE_H_
#define LMSERVE_MODELS_NGRAM_COUNT_TRIE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "models/ngram/bits.h"
#include "models/ngram/ngram_table.h"
#include "models/vocabulary.h"

namespace lmserve {

// The compact layout of ngram.bin: the counts of a model's n-grams, from which
// the probabilities are computed when they are asked for. It takes about 1.2
// bytes per n-gram. model_store/FORMAT.md specifies it.
//
// The n-grams form a trie. The children of a context h are the n-grams h w.
// They are sorted by the id of w. An n-gram of order k is identified by its
// position among all n-grams of order k, which are sorted by context, then by
// word. The id of a unigram is the id of its word.
//
// Two observations make the layout small:
// - In the text where h w occurs, h' w occurs as well, where h' is h without
//   its first word. So the children of h are a subset of the children of h',
//   and w is stored as its rank: the position of h' w among the children of h'.
//   The rank of w among the children of the empty context is its id. Whoever
//   scores w has already looked up h' w and knows its rank.
// - Smoothing is a function of the counts of the children of a context, which
//   are small integers. See CountWeights.
using NgramId = uint64_t;

inline constexpr NgramId kNoNgram = ~uint64_t{0};
inline constexpr uint32_t kNoRank = ~uint32_t{0};

// Contexts of one order are stored in blocks of this many.
inline constexpr int kBlockContexts = 64;

// A context with more children than this is large: it has an entry of its own
// in a table instead of bits in its block.
inline constexpr uint32_t kMaxSmallChildren = 14;

// A small context's bits of a count are at most this.
inline constexpr int kMaxSmallCountBits = 12;

// Large contexts with more children than this list the likeliest of them, and
// as many.
inline constexpr uint32_t kListedChildren = 64;

// The number of children of a context, or "large", and the index of the widths
// of their fields are stored in one byte: 4 bits each.
inline constexpr uint8_t kLargeMark = 15;
inline constexpr int kFieldWidths = 16;

// The bits of the counts of contexts with one child, by code.
inline constexpr std::array<uint8_t, 8> kSingleCountBits = {0, 1, 2, 3,
                                                            4, 6, 8, 12};

// The parameters of the smoothing of one order. An n-gram with count c, whose
// context h has n children with counts of sum s, has the share
//   u = (c - discount[min(c, 3)]) / (s + types_weight n)
// of the probability, and leaves to the lower orders the factor
//   g = (sum of the discounts of the children + types_weight n) /
//       (s + types_weight n),
// so that P(w | h) = u + g P(w | h'). Modified Kneser-Ney smoothing (Chen and
// Goodman 1998, section 3) has a types_weight of 0; Witten-Bell smoothing has
// 1, and no discounts.
struct CountSmoothing {
  double Discounted(uint64_t count) const {
    // As a signed number, which the processor converts directly.
    return static_cast<double>(static_cast<int64_t>(count)) -
           discount[count < 3 ? count : 3];
  }

  std::array<double, 4> discount;  // discount[0] is 0
  double types_weight;
};

// The share of a child per count and the factor of the lower orders, for one
// context. 1 / 0 is not computed: a context without children has {0, 1}.
struct CountWeights {
  double inverse;   // 1 / (s + types_weight n)
  double leftover;  // g
};

inline constexpr size_t kSectionPadding = 64;

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

// Follows the header, for k = 1, ..., order - 1: the contexts of order k with
// their children, the n-grams of order k + 1.
struct CountLevelRecord {
  uint64_t children;      // number
  uint64_t direct;        // the contexts below this id are large, without
                          // blocks: large context i is context i
  uint64_t directory_at;  // uint32_t for each block: its offset in blocks_at
  uint64_t bases_at;      // a BlockBase for every kBlocksPerBase blocks
  uint64_t blocks_at;
  uint64_t blocks_size;     // bytes
  uint64_t larges_at;       // LargeContext, in the order of the ids
  uint64_t larges;          // number
  uint64_t large_bases_at;  // a BlockBase for every kLargesPerBase of them
  uint64_t large_data_at;
  uint64_t large_data_size;  // bytes
  CountSmoothing smoothing;
  // The widths in bits of the fields of small contexts, by index.
  std::array<uint8_t, kFieldWidths> rank_bits;
  std::array<uint8_t, kFieldWidths> count_bits;
};

inline constexpr uint64_t kBlocksPerBase = 65'536;
inline constexpr uint64_t kLargesPerBase = 1'024;

// Is added to the 32-bit offsets of a group of blocks or large contexts.
struct BlockBase {
  uint64_t child;  // id of an n-gram of the next order
  uint64_t data;   // offset in bytes
};

// How a large context stores the ranks of its children.
enum class RankList : uint32_t {
  kEmpty = 0,   // no children; only for a direct context
  kBitmap = 1,  // cells of 32 bytes: a 32-bit count of the ranks in the cells
                // before it, and a bit for each of 224 ranks
  kShort = 2,   // 16 bits each; at most kGroupCounts children
  kFano8 = 3,   // Elias-Fano lists whose low parts have 8 or 16 bits
  kFano16 = 4,
};

inline constexpr uint32_t kCellBytes = 32;
inline constexpr uint32_t kCellRanks = 224;

// The counts of a large context's children are stored in groups of this many,
// each with its own width.
inline constexpr uint32_t kGroupCounts = 32;

struct LargeContext {
  uint32_t first_child;  // relative to the base
  uint32_t data;         // offset of its data, in units of 4 bytes
  float inverse;         // CountWeights
  float leftover;
  uint32_t size;  // number of children
  uint32_t packed;

  RankList list() const { return static_cast<RankList>(packed >> 29); }
  // The bits of a count, if there are at most kGroupCounts; otherwise, 1 if
  // the offsets of the groups have 32 bits instead of 16.
  uint32_t width() const { return packed >> 23 & 63; }
  // The offset of the counts in its data, in bytes.
  uint32_t counts_at() const { return (packed & 0x7FFFFF) * 2; }

  static constexpr uint64_t kMaxCountsAt = uint64_t{0x7FFFFF} * 2;
  // REQUIRES: counts_at is even and at most kMaxCountsAt; width < 64.
  static uint32_t Pack(RankList list, uint32_t width, uint64_t counts_at) {
    return static_cast<uint32_t>(list) << 29 | width << 23 |
           static_cast<uint32_t>(counts_at / 2);
  }
};
static_assert(sizeof(LargeContext) == 24);

// A view of one level. Plain pointers, because scoring is bound by memory.
struct CountLevel {
  uint64_t contexts;  // number of contexts of order k
  uint64_t children;  // number of n-grams of order k + 1
  uint64_t direct;
  const uint32_t* directory;
  const BlockBase* bases;
  const uint8_t* blocks;
  const LargeContext* larges;
  const BlockBase* large_bases;
  const uint8_t* large_data;
  uint64_t large_count;
  CountSmoothing smoothing;
  std::array<uint8_t, kFieldWidths> rank_bits;
  std::array<uint8_t, kFieldWidths> count_bits;
  std::array<uint8_t, kFieldWidths> child_bits;  // rank and count together
  int max_rank_bits;                             // the largest of rank_bits

  void SetWidths(const std::array<uint8_t, kFieldWidths>& ranks,
                 const std::array<uint8_t, kFieldWidths>& counts);

  // Returns the start of the block of a context. REQUIRES: it has one.
  const uint8_t* Block(uint64_t index) const {
    return blocks + bases[index / kBlocksPerBase].data + directory[index];
  }
  NgramId BlockBaseChild(uint64_t index) const {
    return bases[index / kBlocksPerBase].child;
  }
  // Of the large context larges[index].
  const uint8_t* LargeData(const LargeContext& large, uint64_t index) const {
    return large_data + large_bases[index / kLargesPerBase].data +
           uint64_t{large.data} * 4;
  }
  NgramId LargeFirstChild(const LargeContext& large, uint64_t index) const {
    return large_bases[index / kLargesPerBase].child + large.first_child;
  }

  double Share(uint64_t count, double inverse) const {
    return smoothing.Discounted(count) * inverse;
  }
};

// The fields at the start of a block, before the arrays of variable length.
//   0  uint64_t  bit j: context j of the block is a single: it has one child,
//                and the rank and count of the child have the block's widths
//   8  uint32_t  the id of the first child of the block's first context
//   12 uint8_t   bits of a single's rank (low 5), code of its count's (high 3)
//   13 uint8_t   number of large contexts in the block, L (low 7 bits); the
//   high
//                bit is set if their sums have 32 bits instead of 16
//   14 if L > 0: uint32_t, the index of the first of them, then L sums: how
//   many
//                children this and the large contexts before it in the block
//                have
//   then a byte for each context that is not a single: the number of children,
//                or kLargeMark, in the low 4 bits; the index of their widths in
//                the high 4 bits
//   then the singles, rank and count - 1 each, to a whole byte
//   then the small contexts: the ranks of all children, then their counts - 1
struct BlockHeader {
  uint64_t singles;
  uint32_t first_child;
  uint8_t single_widths;
  uint8_t larges;
};
inline constexpr size_t kBlockHeaderBytes = 14;

// What a block says of its large contexts. A view of the block.
struct BlockLarges {
  // `header` is BlockHeader::larges, `at` the end of the header.
  BlockLarges(const uint8_t* at, uint8_t header)
      : at(at), count(header & 127), sum_bytes(header >> 7 != 0 ? 4 : 2) {}

  // Returns how many bytes it takes in a block with this BlockHeader::larges.
  static size_t Bytes(uint8_t header) { return kBytes[header]; }

  // The same for each value.
  static constexpr std::array<uint16_t, 256> kBytes = [] {
    std::array<uint16_t, 256> bytes = {};
    for (int count = 1; count < 128; ++count) {
      bytes[count] = static_cast<uint16_t>(4 + count * 2);
      bytes[count + 128] = static_cast<uint16_t>(4 + count * 4);
    }
    return bytes;
  }();

  // Returns the index of the first. REQUIRES: count > 0.
  uint32_t FirstIndex() const { return LoadUnaligned<uint32_t>(at); }
  // Returns how many children the first i have. REQUIRES: i <= count.
  uint32_t Children(uint32_t i) const {
    if (i == 0) return 0;
    const uint8_t* sum = at + 4 + size_t{i - 1} * sum_bytes;
    return sum_bytes == 4 ? LoadUnaligned<uint32_t>(sum)
                          : LoadUnaligned<uint16_t>(sum);
  }

  const uint8_t* at;
  uint32_t count;
  uint32_t sum_bytes;
};

// A context and its children, decoded one at a time. For all that is not
// bound by memory: predictions, export, checks. A view; does not own the level.
class CountContext {
 public:
  // REQUIRES: id < level.contexts.
  CountContext(const CountLevel& level, NgramId id);

  uint32_t size() const { return size_; }
  NgramId first_child() const { return first_child_; }
  const CountWeights& weights() const { return weights_; }

  // The rank and the count of a child. REQUIRES: i < size().
  uint32_t Rank(uint32_t i) const;
  uint64_t Count(uint32_t i) const;
  double Share(uint32_t i) const {
    return level_->Share(Count(i), weights_.inverse);
  }
  // Returns the position of the child with a rank, or kNoRank.
  uint32_t Find(uint32_t rank) const;

  // Writes the ranks of all children; faster than Rank() for each.
  void Ranks(std::vector<uint32_t>* ranks) const;

  // Whether a list of the likeliest children is stored, sorted by descending
  // probability: kListedChildren of them.
  bool has_best() const { return size_ > kListedChildren; }
  // Returns the position of the likeliest child but i. REQUIRES: has_best() and
  // i < kListedChildren.
  uint32_t Best(uint32_t i) const;

 private:
  void ReadBlock(NgramId id);
  void ReadLarge(uint64_t index);

  const CountLevel* level_;
  NgramId first_child_ = 0;
  uint32_t size_ = 0;
  CountWeights weights_ = {0, 1};
  // Singles and small contexts.
  const uint8_t* bits_ = nullptr;
  uint64_t ranks_at_ = 0, counts_at_ = 0;  // in bits
  int rank_bits_ = 0, count_bits_ = 0;
  // Large contexts.
  const LargeContext* large_ = nullptr;
  const uint8_t* data_ = nullptr;
};

// What the weights of a context need to know of its children.
struct CountSums {
  // Adds a child. Words with a count of 0, which only unigrams have, are no
  // children.
  void Add(uint64_t count) {
    children += count > 0;
    sum += count;
    ones += count == 1;
    twos += count == 2;
  }
  CountWeights Weights(const CountSmoothing& smoothing) const;

  uint64_t children = 0;
  uint64_t sum = 0;
  uint64_t ones = 0;  // children with a count of 1
  uint64_t twos = 0;
};

// A child of a context, with its n-gram among the children of each suffix.
struct ChildPath {
  WordId word;
  // positions[k - 1] is among the children of the context of order k.
  std::array<uint32_t, kMaxNgramOrder - 1> positions;
};

// Finds the path of a child of the last of these contexts, which are a context
// and its suffixes, shortest first. Returns nothing if a suffix has no such
// child, which only a damaged file can have.
std::optional<ChildPath> FindPath(absl::Span<const CountContext> contexts,
                                  uint32_t child);

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
  double Probability(absl::Span<const CountContext> contexts,
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
  std::vector<CountLevel> levels;  // levels[k - 1]: contexts of order k
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NGRAM_COUNT_TRIE_H_
