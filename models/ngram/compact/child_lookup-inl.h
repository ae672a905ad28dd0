// SPDX-License-Identifier: Apache-2.0
//
// Finds a child of a context by its rank, without its count, with AVX2 and
// BMI2. Nothing is checked. Included by value_score.cc, once for each
// instruction set of Highway.

#if defined(LMSERVE_MODELS_NGRAM_COMPACT_CHILD_LOOKUP_INL_H_) == \
    defined(HWY_TARGET_TOGGLE)
#ifdef LMSERVE_MODELS_NGRAM_COMPACT_CHILD_LOOKUP_INL_H_
#undef LMSERVE_MODELS_NGRAM_COMPACT_CHILD_LOOKUP_INL_H_
#else
#define LMSERVE_MODELS_NGRAM_COMPACT_CHILD_LOOKUP_INL_H_
#endif

#include <cstdint>

#include "hwy/highway.h"
#include "models/ngram/compact/bits.h"
#include "models/ngram/compact/block_lookup-inl.h"
#include "models/ngram/compact/large_context.h"
#include "models/ngram/compact/large_lookup-inl.h"
#include "models/ngram/compact/rank_trie.h"

HWY_BEFORE_NAMESPACE();
namespace lmserve {
namespace HWY_NAMESPACE {
namespace {

#if HWY_ARCH_X86 && HWY_TARGET == HWY_AVX2

template <typename Id>
struct Child {
  Id id;           // undefined if not found
  uint32_t index;  // of the child in its context, or kNoRank
};

template <typename Id>
HWY_INLINE Child<Id> FindSingleChild(const RankLevel& level,
                                     const BlockContext<Id>& context,
                                     uint32_t rank) {
  const uint64_t stored = ReadBits(
      context.SingleFields(), context.singles_before * context.single_bits(),
      context.single_rank_bits());
  return {static_cast<Id>(
              context.first_child + context.singles_before +
              context.LargeChildrenBefore() +
              SumMarks(level, context.marks, context.marks_before).children),
          RankIf(stored == rank, 0)};
}

// If `narrow`, the level has no fields of ranks of more than kMaxNarrowBits.
template <bool kNarrow, typename Id>
HWY_INLINE Child<Id> FindSmallChild(const RankLevel& level,
                                    const SmallContext<Id>& context,
                                    uint32_t rank) {
  const uint32_t equal = CompareRanks<kNarrow>(
      context.fields, context.bit, level.rank_bits[context.mark >> 4],
      context.mark & 15, rank);
  const uint32_t index = std::countr_zero(equal | 0x80000000u) / 2;
  return {static_cast<Id>(context.first_child + index),
          RankIf(equal != 0, index)};
}

template <typename Id>
HWY_INLINE Child<Id> FindLargeChild(const RankLevel& level, uint64_t index,
                                    uint32_t rank) {
  const LargeContext& large = level.larges[index];
  const uint32_t found =
      FindInLarge(large, level.LargeData(large, index), rank);
  return {static_cast<Id>(level.LargeFirstChild(large, index)) + found, found};
}

// Finds a child of any context.
template <typename Id>
HWY_INLINE Child<Id> FindChild(const RankLevel& level, Id context,
                               uint32_t rank) {
  if (context < level.direct) return FindLargeChild<Id>(level, context, rank);
  const uint64_t position = context - level.direct;
  BlockContext<Id> block;
  block.Read(level, position, level.Block(position / kBlockContexts));
  if (block.single) return FindSingleChild(level, block, rank);
  if (block.has_large_mark()) {
    return FindLargeChild<Id>(level, block.LargeIndex(), rank);
  }
  SmallContext<Id> small;
  small.Read(level, block);
  return level.max_rank_bits <= kMaxNarrowBits
             ? FindSmallChild<true>(level, small, rank)
             : FindSmallChild<false>(level, small, rank);
}

#endif  // HWY_ARCH_X86 && HWY_TARGET == HWY_AVX2

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace lmserve
HWY_AFTER_NAMESPACE();

#endif  // LMSERVE_MODELS_NGRAM_COMPACT_CHILD_LOOKUP_INL_H_
