// SPDX-License-Identifier: Apache-2.0
//
// Looks up many words among the children of their contexts of one order, with
// AVX2 and BMI2. Included by count_score.cc and value_score.cc, once for each
// instruction set of Highway.

#if defined(LMSERVE_MODELS_NGRAM_COMPACT_LEVEL_WALKER_INL_H_) == \
    defined(HWY_TARGET_TOGGLE)
#ifdef LMSERVE_MODELS_NGRAM_COMPACT_LEVEL_WALKER_INL_H_
#undef LMSERVE_MODELS_NGRAM_COMPACT_LEVEL_WALKER_INL_H_
#else
#define LMSERVE_MODELS_NGRAM_COMPACT_LEVEL_WALKER_INL_H_
#endif

#include <array>
#include <cstdint>

#include "hwy/highway.h"
#include "models/ngram/compact/block_lookup-inl.h"
#include "models/ngram/compact/large_context.h"
#include "models/ngram/compact/large_lookup-inl.h"
#include "models/ngram/compact/rank_trie.h"
#include "models/ngram/text_blocks.h"

HWY_BEFORE_NAMESPACE();
namespace lmserve {
namespace HWY_NAMESPACE {
namespace {

// An id that no n-gram has, as states and slots have it.
template <typename Id>
inline constexpr Id kNoId = ~Id{0};

#if HWY_ARCH_X86 && HWY_TARGET == HWY_AVX2

template <typename T>
using Slots = TextBlocks::Slots<T>;

// Indices of slots or look-ups, in a list that a loop appends to without a
// branch. The element after the last one is written, too. Not bytes, which may
// alias anything.
using SlotList = std::array<uint16_t, TextBlocks::kSlots + 1>;

// The n-grams that the look-ups of a level find, which are the contexts of the
// next level. To be a local variable, so that its members are in registers.
template <typename Id>
struct FoundNgrams {
  // Keeps the n-gram of the slot's word.
  HWY_INLINE void Keep(int slot, Id child, uint32_t index, bool exists) {
    // Without a branch, as RankIf().
    ids[slot] = child | (Id{exists} - 1);
    ranks[slot] = index;
    slots[count] = static_cast<uint16_t>(slot);
    count += exists;
    if (next_level == nullptr) return;
    PrefetchDirectory(*next_level, exists ? child : 0);
    if (count > prefetched + kLag) PrefetchNextBlock();
  }

  // Prefetches the blocks of the contexts that were found last.
  HWY_INLINE void PrefetchRest() {
    if (next_level == nullptr) return;
    while (prefetched < count) PrefetchNextBlock();
  }

  // By slot. The id is kNoId and the rank kNoRank if there is no n-gram.
  Id* ids;
  uint32_t* ranks;
  uint16_t* slots;              // a SlotList of those with an n-gram
  const RankLevel* next_level;  // or null
  int count = 0;
  int prefetched = 0;  // how many of them have prefetched their block

 private:
  // A loop uses what it has prefetched this many rounds before.
  static constexpr int kLag = 12;

  // The entry in the directory has been prefetched kLag rounds ago.
  HWY_INLINE void PrefetchNextBlock() {
    PrefetchBlock(*next_level, ids[slots[prefetched++]]);
  }
};

// A look-up in a large context.
struct LargeLookup {
  const LargeContext* large;
  const uint8_t* data;
  uint64_t index;    // of the large context
  RankRun run;       // of an Elias-Fano list
  uint32_t child;    // index of the child that was found
  CountField count;  // of the child, if the policy reads counts
  uint32_t slot;
};

// Does the look-ups of one level for a block of words, in passes over lists
// without branches in between: each pass prefetches the memory that a later
// pass reads. What is done with a child that is found, or is not, is up to a
// policy. All of its functions are called once for a word:
//
//   // Looks up the word of a slot, whose context is in a block.
//   void Single(const BlockContext<Id>& context);
//   template <bool kNarrow> void Small(const SmallContext<Id>& context);
//   // Whether to look for the word; its context is large.
//   bool StartLarge(const LargeLookup& lookup);
//   // The word is a child of a large context.
//   void FinishLarge(const LargeLookup& lookup);
//   // Whether FinishLarge() reads lookup.count.
//   static constexpr bool kReadsCounts;
//
// Lives as long as the scorer of a batch; Walk() leaves nothing behind.
template <typename Id>
class LevelWalker {
 public:
  // Looks up the words of some slots. The word of slot s has the rank ranks[s]
  // and the context contexts[s - 1], which exists. The policy may write ranks
  // of slots that it is called for.
  template <typename Policy>
  HWY_INLINE void Walk(const RankLevel& level, const Id* contexts,
                       const uint32_t* ranks, const SlotList& slots, int count,
                       Policy& policy) {
    ReadContexts(level, contexts, slots, count);
    // The look-ups in blocks by kind, as indices of blocks_.
    SlotList single, small, large;
    int singles = 0, smalls = 0, larges = 0;
    for (int i = 0, blocks = block_count_; i < blocks; ++i) {
      BlockContext<Id>& context = blocks_[i];
      context.Read(level, positions_[i], block_starts_[i]);
      const bool is_large = !context.single & context.has_large_mark();
      single[singles] = static_cast<uint16_t>(i);
      singles += context.single;
      small[smalls] = static_cast<uint16_t>(i);
      smalls += !(context.single | is_large);
      large[larges] = static_cast<uint16_t>(i);
      larges += is_large;
    }
    for (int i = 0; i < larges; ++i) {
      const BlockContext<Id>& context = blocks_[large[i]];
      LargeLookup& lookup = larges_[large_count_ + i];
      lookup.index = context.LargeIndex();
      lookup.slot = context.slot;
      __builtin_prefetch(&level.larges[lookup.index]);
    }
    large_count_ += larges;
    for (int i = 0; i < singles; ++i) policy.Single(blocks_[single[i]]);
    for (int i = 0; i < smalls; ++i) {
      SmallContext<Id>& context = small_contexts_[i];
      context.Read(level, blocks_[small[i]]);
      __builtin_prefetch(context.fields + context.bit / 8);
    }
    LargeLists lists;
    ReadLarges(level, ranks, policy, &lists);
    if (level.max_rank_bits <= kMaxNarrowBits) {
      FindSmalls<true>(smalls, policy);
    } else {
      FindSmalls<false>(smalls, policy);
    }
    FindLarges(ranks, lists, policy);
  }

 private:
  // Splits the look-ups into those of direct contexts and those in blocks.
  HWY_INLINE void ReadContexts(const RankLevel& level, const Id* contexts,
                               const SlotList& slots, int count) {
    const uint64_t direct = level.direct;
    int blocks = 0, larges = 0;
    if (direct == 0) {
      blocks = count;
      for (int i = 0; i < blocks; ++i) {
        const uint16_t slot = slots[i];
        positions_[i] = contexts[slot - 1];
        blocks_[i].slot = slot;
      }
    } else {
      for (int i = 0; i < count; ++i) {
        const uint16_t slot = slots[i];
        const uint64_t context = contexts[slot - 1];
        const bool is_direct = context < direct;
        larges_[larges].index = context;
        larges_[larges].slot = slot;
        larges += is_direct;
        positions_[blocks] = context - direct;
        blocks_[blocks].slot = slot;
        blocks += !is_direct;
      }
    }
    for (int i = 0; i < blocks; ++i) {
      block_starts_[i] = level.Block(positions_[i] / kBlockContexts);
    }
    block_count_ = blocks;
    large_count_ = larges;
  }

  template <bool kNarrow, typename Policy>
  HWY_INLINE void FindSmalls(int count, Policy& policy) {
    for (int i = 0; i < count; ++i) {
      policy.template Small<kNarrow>(small_contexts_[i]);
    }
  }

  // The look-ups in large contexts by kind, as indices of larges_.
  struct LargeLists {
    SlotList bitmap, short_list, fano;
    int bitmaps = 0, shorts = 0, fanos = 0;
  };

  // Reads the large contexts, and prefetches their ranks.
  template <typename Policy>
  HWY_INLINE void ReadLarges(const RankLevel& level, const uint32_t* ranks,
                             Policy& policy, LargeLists* lists) {
    int bitmaps = 0, shorts = 0, fanos = 0;
    for (int i = 0, count = large_count_; i < count; ++i) {
      LargeLookup& lookup = larges_[i];
      const LargeContext& large = level.larges[lookup.index];
      lookup.large = &large;
      lookup.data = level.LargeData(large, lookup.index);
      const bool is_sought = policy.StartLarge(lookup);
      const RankList list = large.list();
      const bool is_bitmap = is_sought & (list == RankList::kBitmap);
      lists->bitmap[bitmaps] = static_cast<uint16_t>(i);
      bitmaps += is_bitmap;
      lists->short_list[shorts] = static_cast<uint16_t>(i);
      shorts += is_sought & (list == RankList::kShort);
      lists->fano[fanos] = static_cast<uint16_t>(i);
      fanos += is_sought & (list >= RankList::kFano8);
      const uint32_t at = (uint32_t{0} - is_bitmap) &
                          (ranks[lookup.slot] / kCellRanks * kCellBytes);
      __builtin_prefetch(lookup.data + at);
      __builtin_prefetch(lookup.data + at + (is_bitmap ? 0 : 64));
    }
    lists->bitmaps = bitmaps;
    lists->shorts = shorts;
    lists->fanos = fanos;
  }

  template <typename Policy>
  HWY_INLINE void FindLarges(const uint32_t* ranks, const LargeLists& lists,
                             Policy& policy) {
    const auto& [bitmap, short_list, fano, bitmaps, shorts, fanos] = lists;
    for (int i = 0; i < fanos; ++i) {
      LargeLookup& lookup = larges_[fano[i]];
      lookup.run = FindRun(*lookup.large, lookup.data, ranks[lookup.slot]);
      __builtin_prefetch(lookup.run.lows);
    }
    // The look-ups that found a child, as indices of larges_.
    SlotList found;
    int found_count = 0;
    const auto keep = [&](uint16_t i, uint32_t child) HWY_ATTR {
      LargeLookup& lookup = larges_[i];
      lookup.child = child;
      found[found_count] = i;
      found_count += child != kNoRank;
      if (Policy::kReadsCounts) {
        PrefetchLargeCount(*lookup.large, lookup.data, child);
      }
    };
    for (int i = 0; i < bitmaps; ++i) {
      const LargeLookup& lookup = larges_[bitmap[i]];
      keep(bitmap[i],
           FindInBitmap(*lookup.large, lookup.data, ranks[lookup.slot]));
    }
    for (int i = 0; i < shorts; ++i) {
      const LargeLookup& lookup = larges_[short_list[i]];
      keep(short_list[i],
           FindInShort(*lookup.large, lookup.data, ranks[lookup.slot]));
    }
    for (int i = 0; i < fanos; ++i) {
      const LargeLookup& lookup = larges_[fano[i]];
      keep(fano[i], FindInRun(lookup.run, ranks[lookup.slot]));
    }
    if (Policy::kReadsCounts) {
      for (int i = 0; i < found_count; ++i) {
        LargeLookup& lookup = larges_[found[i]];
        lookup.count = FindLargeCount(*lookup.large, lookup.data, lookup.child);
        __builtin_prefetch(lookup.count.bits + lookup.count.bit / 8);
      }
    }
    for (int i = 0; i < found_count; ++i) policy.FinishLarge(larges_[found[i]]);
  }

  // By look-up of the current level. An element after the last may be written.
  int block_count_ = 0, large_count_ = 0;
  std::array<uint64_t, TextBlocks::kSlots + 1> positions_;  // after the direct
                                                            // contexts
  Slots<const uint8_t*> block_starts_;
  std::array<BlockContext<Id>, TextBlocks::kSlots + 1> blocks_;
  Slots<SmallContext<Id>> small_contexts_;
  std::array<LargeLookup, TextBlocks::kSlots + 1> larges_;
};

#endif  // HWY_ARCH_X86 && HWY_TARGET == HWY_AVX2

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace lmserve
HWY_AFTER_NAMESPACE();

#endif  // LMSERVE_MODELS_NGRAM_COMPACT_LEVEL_WALKER_INL_H_
