// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_NGRAM_COUNT_LEVEL_BUILDER_H_
#define LMSERVE_MODELS_NGRAM_COUNT_LEVEL_BUILDER_H_

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "models/ngram/bits.h"
#include "models/ngram/count_trie.h"

namespace lmserve {

// A context with its children, as the builders of the compact layout take them.
struct CountedContext {
  struct Child {
    uint32_t rank;   // see count_trie.h
    uint64_t count;  // at least 1
  };

  // The id of the context without its first word; 0 for a context of order 1.
  NgramId suffix;
  // The number of children of that suffix, or of words for order 1.
  uint32_t suffix_children;
  absl::Span<const Child> children;  // by ascending rank
};

// Reads all contexts of an order once and decides how they are stored.
class CountLevelSurvey {
 public:
  void Add(const CountedContext& context);

  // Returns how many contexts at the beginning are stored as large contexts,
  // without blocks: those before the first block in which fewer than three
  // quarters are large.
  uint64_t direct() const { return direct_; }
  uint64_t contexts() const { return contexts_; }

  struct Widths {
    std::array<uint8_t, kFieldWidths> rank_bits, count_bits;
  };
  // Chooses the widths of the fields of small contexts: greedily, the pair that
  // saves most bits next.
  Widths ChooseWidths() const;

 private:
  static constexpr int kMaxRankBits = 32;

  uint64_t contexts_ = 0;
  uint64_t direct_ = 0;
  bool direct_ended_ = false;
  uint32_t larges_in_block_ = 0;
  // The number of children whose context needs these rank and count bits.
  std::array<std::array<uint64_t, kMaxSmallCountBits + 1>, kMaxRankBits + 1>
      children_ = {};
};

// One level of the file, as the bytes of its sections.
struct BuiltCountLevel {
  uint64_t contexts = 0;
  uint64_t children = 0;
  uint64_t direct = 0;
  CountSmoothing smoothing;
  CountLevelSurvey::Widths widths;
  std::vector<uint32_t> directory;
  std::vector<BlockBase> bases;
  std::string blocks;
  std::vector<LargeContext> larges;
  std::vector<BlockBase> large_bases;
  std::string large_data;
  // The suffix of each context with more than kListedChildren children.
  absl::flat_hash_map<NgramId, NgramId> suffixes;

  // Returns a view, which is valid until the level changes or moves.
  CountLevel View() const;
};

// Builds one level. Not thread-safe.
class CountLevelBuilder {
 public:
  // Computes P(w | h') for the words w of the children of a context h.
  using LowerProbabilities = std::function<void(
      const CountedContext& context, absl::Span<double> probabilities)>;

  // Builds the level of the contexts of an order. Calls `lower` for contexts
  // with more than kListedChildren children.
  CountLevelBuilder(int order, const CountLevelSurvey& survey,
                    const CountSmoothing& smoothing, LowerProbabilities lower);

  // Adds the next context.
  void Add(const CountedContext& context);

  // Writes the last block and returns the level. RESOURCE_EXHAUSTED if an
  // offset does not fit its field.
  absl::StatusOr<BuiltCountLevel> Finish();

 private:
  // A context of the current block.
  struct Pending {
    uint32_t size;   // number of children
    uint32_t first;  // the first of them in children_, if it is not large
    int rank_bits, count_bits;
    bool large;
  };

  void AddLarge(const CountedContext& context);
  // Returns how the ranks of a large context are stored.
  RankList ChooseList(const CountedContext& context) const;
  void AppendBitmap(const CountedContext& context);
  void AppendFano(const CountedContext& context, int low_bits);
  // Writes the counts and returns LargeContext::width().
  uint32_t AppendCounts(const CountedContext& context);
  void AppendBest(const CountedContext& context, const LargeContext& large);

  void WriteBlock();
  // The widths of the fields of contexts with one child.
  struct SingleWidths {
    int rank_bits;
    int code;  // of the bits of a count; see kSingleCountBits
  };
  // Returns the widths with which the current block takes the fewest bits.
  SingleWidths ChooseSingleWidths() const;
  // Returns the index of the smallest widths that hold a rank and a count with
  // these numbers of bits.
  int FindWidths(int rank_bits, int count_bits) const;

  void Align(size_t bytes);
  template <typename T>
  void AppendData(T value);

  const int order_;
  const LowerProbabilities lower_;
  BuiltCountLevel level_;
  // The widths for each number of rank and count bits.
  std::array<std::array<uint8_t, kMaxSmallCountBits + 1>, 33> best_widths_;
  std::vector<Pending> pending_;
  std::vector<CountedContext::Child> children_;  // of the current block
  uint64_t block_first_child_ = 0;
  bool overflow_ = false;
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NGRAM_COUNT_LEVEL_BUILDER_H_
