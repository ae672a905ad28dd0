// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_NGRAM_COMPACT_LARGE_CONTEXT_H_
#define LMSERVE_MODELS_NGRAM_COMPACT_LARGE_CONTEXT_H_

#include <cstddef>
#include <cstdint>

#include "models/ngram/compact/bits.h"

// A context with more children than fit into its block: its entry in a table,
// and its data, which are the ranks of its children, their counts and, if there
// are more than kListedChildren, the positions of the likeliest. See
// model_store/FORMAT.md. All views; nothing is checked.
namespace lmserve {

inline constexpr uint32_t kNoRank = ~uint32_t{0};

// Large contexts with more children than this list the likeliest of them, and
// as many.
inline constexpr uint32_t kListedChildren = 64;

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

// Ranks as an Elias-Fano list. A rank is split into its low bits, which are
// stored by child, and its bucket, the rest. `upper` has for each bucket a 1
// for each rank in it, and then a 0.
struct FanoList {
  // Lists of more than this many buckets have samples.
  static constexpr uint32_t kSampled = 256;

  FanoList(const LargeContext& large, const uint8_t* data)
      : low_bits(large.list() == RankList::kFano8 ? 8 : 16),
        buckets(LoadUnaligned<uint32_t>(data)),
        samples(data + 4),
        upper(samples + SampleBytes(buckets)),
        lows(upper + UpperBytes(large.size, buckets)) {}

  static uint32_t SampleBytes(uint32_t buckets) {
    return (buckets - 1) / kSampled * 4;
  }
  static uint32_t UpperBytes(uint32_t size, uint32_t buckets) {
    return (size + buckets + 63) / 64 * 8;
  }

  // Returns the low bits of the rank of a child.
  uint32_t Low(uint32_t i) const {
    return low_bits == 8 ? lows[i]
                         : LoadUnaligned<uint16_t>(lows + size_t{2} * i);
  }
  // Returns the bit of `upper` where the bucket kSampled * (i + 1) starts.
  uint32_t Sample(uint32_t i) const {
    return LoadUnaligned<uint32_t>(samples + size_t{4} * i);
  }

  int low_bits;
  uint32_t buckets;
  const uint8_t* samples;
  const uint8_t* upper;
  const uint8_t* lows;
};

// The field of a count less 1.
struct CountField {
  const uint8_t* bits;
  uint32_t bit;
  int width;

  uint64_t Count() const { return 1 + ReadBits(bits, bit, width); }
};

// The counts of a large context with more than kGroupCounts children, in groups
// of that many. All fields of a group have the same width.
struct CountGroups {
  CountGroups(const LargeContext& large, const uint8_t* data)
      : offsets(data + large.counts_at()),
        wide(large.width() != 0),
        groups((large.size + kGroupCounts - 1) / kGroupCounts),
        fields(offsets + size_t{groups + 1} * (wide ? 4 : 2)) {}

  // The offset of a group in `fields`, in units of 4 bytes, where a group takes
  // as many units as its fields have bits. i <= groups.
  uint32_t Offset(uint32_t i) const {
    return wide ? LoadUnaligned<uint32_t>(offsets + size_t{4} * i)
                : LoadUnaligned<uint16_t>(offsets + size_t{2} * i);
  }

  const uint8_t* offsets;
  bool wide;
  uint32_t groups;
  const uint8_t* fields;
};

// Returns the count of child i of a large context. REQUIRES: i < large.size.
inline CountField FindLargeCount(const LargeContext& large, const uint8_t* data,
                                 uint32_t i) {
  if (large.size <= kGroupCounts) {
    const auto width = static_cast<int>(large.width());
    return {data + large.counts_at(), i * width, width};
  }
  const CountGroups groups(large, data);
  const uint32_t group = i / kGroupCounts;
  uint32_t offset, end;
  if (groups.wide) {
    offset = groups.Offset(group);
    end = groups.Offset(group + 1);
  } else {  // one load
    const auto both =
        LoadUnaligned<uint32_t>(groups.offsets + size_t{2} * group);
    offset = both & 0xFFFF;
    end = both >> 16;
  }
  const auto width = static_cast<int>(end - offset);
  return {groups.fields + size_t{4} * offset, i % kGroupCounts * width, width};
}

// Prefetches what FindLargeCount() reads first.
inline void PrefetchLargeCount(const LargeContext& large, const uint8_t* data,
                               uint32_t i) {
  const uint8_t* counts = data + large.counts_at();
  __builtin_prefetch(large.size <= kGroupCounts
                         ? counts
                         : counts + size_t{2} * (i / kGroupCounts));
}

// Returns where the list of the likeliest children starts.
// REQUIRES: large.size > kListedChildren.
inline const uint8_t* LargeBestAt(const LargeContext& large,
                                  const uint8_t* data) {
  const CountGroups groups(large, data);
  const uint32_t last = groups.Offset(groups.groups - 1);
  const uint32_t width = groups.Offset(groups.groups) - last;
  const uint32_t fields = large.size - (groups.groups - 1) * kGroupCounts;
  return groups.fields + size_t{4} * (last + (fields * width + 31) / 32);
}

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NGRAM_COMPACT_LARGE_CONTEXT_H_
