// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_NGRAM_COMPACT_RANK_TRIE_H_
#define LMSERVE_MODELS_NGRAM_COMPACT_RANK_TRIE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/types/span.h"
#include "models/ngram/compact/context_block.h"
#include "models/ngram/compact/count_smoothing.h"
#include "models/ngram/compact/large_context.h"
#include "models/ngram/ngram_table.h"
#include "models/vocabulary.h"

namespace lmserve {

// The n-grams of a model in the compact layouts, without their probabilities.
//
// They form a trie. The children of a context h are the n-grams h w, sorted by
// the id of w. An n-gram of order k is identified by its position among all
// n-grams of order k, which are sorted by context, then by word. The id of a
// unigram is the id of its word.
//
// In the text where h w occurs, h' w occurs as well, where h' is h without its
// first word. So the children of h are a subset of the children of h', and w is
// stored as its rank: the position of h' w among the children of h'. The rank
// of w among the children of the empty context is its id. Whoever looks up w
// has already looked up h' w and knows its rank.
using NgramId = uint64_t;

inline constexpr NgramId kNoNgram = ~uint64_t{0};

// Each section of the file is followed by at least this many bytes that belong
// to the file, so that code may load whole vectors.
inline constexpr size_t kSectionPadding = 64;

// A level is the contexts of one order k with their children. Its record
// follows the header of the file, for k = 1, ..., order - 1: the contexts of
// order k with their children, the n-grams of order k + 1.
struct RankLevelRecord {
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

// A view of one level. Plain pointers, because scoring is bound by memory.
struct RankLevel {
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

// A context and its children, decoded one at a time. For all that is not
// bound by memory: predictions, export, checks. A view; does not own the level.
class RankContext {
 public:
  // REQUIRES: id < level.contexts.
  RankContext(const RankLevel& level, NgramId id);

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

  const RankLevel* level_;
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

// A child of a context, with its n-gram among the children of each suffix.
struct ChildPath {
  WordId word;
  // positions[k - 1] is among the children of the context of order k.
  std::array<uint32_t, kMaxNgramOrder - 1> positions;
};

// Finds the path of a child of the last of these contexts, which are a context
// and its suffixes, shortest first. Returns nothing if a suffix has no such
// child, which only a damaged file can have.
std::optional<ChildPath> FindPath(absl::Span<const RankContext> contexts,
                                  uint32_t child);

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NGRAM_COMPACT_RANK_TRIE_H_
