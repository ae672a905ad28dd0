// SPDX-License-Identifier: Apache-2.0
//
// Finds a child of a context that is stored in a block (see BlockHeader), with
// AVX2 and BMI2. Nothing is checked. Included by count_score.cc, once for each
// instruction set of Highway.

#if defined(LMSERVE_MODELS_NGRAM_COMPACT_BLOCK_LOOKUP_INL_H_) == \
    defined(HWY_TARGET_TOGGLE)
#ifdef LMSERVE_MODELS_NGRAM_COMPACT_BLOCK_LOOKUP_INL_H_
#undef LMSERVE_MODELS_NGRAM_COMPACT_BLOCK_LOOKUP_INL_H_
#else
#define LMSERVE_MODELS_NGRAM_COMPACT_BLOCK_LOOKUP_INL_H_
#endif

#include <array>
#include <bit>
#include <cstdint>

#include "hwy/highway.h"
#include "models/ngram/compact/bits.h"
#include "models/ngram/compact/rank_trie.h"

HWY_BEFORE_NAMESPACE();
namespace lmserve {
namespace HWY_NAMESPACE {
namespace {

#if HWY_ARCH_X86 && HWY_TARGET == HWY_AVX2

// Prefetches what a look-up in a context reads first: its entry among the
// direct contexts, or that of its block in the directory.
template <typename Id>
HWY_INLINE void PrefetchContext(const RankLevel& level, Id context) {
  __builtin_prefetch(
      context < level.direct
          ? static_cast<const void*>(&level.larges[context])
          : &level.directory[(context - level.direct) / kBlockContexts]);
}

// Prefetches the entry of a context in the directory, without a branch; for a
// direct context, which has none, the first entry.
template <typename Id>
HWY_INLINE void PrefetchDirectory(const RankLevel& level, Id context) {
  const uint64_t position = context < level.direct ? 0 : context - level.direct;
  __builtin_prefetch(&level.directory[position / kBlockContexts]);
}

// Prefetches the block of a context. Reads its entry in the directory.
template <typename Id>
HWY_INLINE void PrefetchBlock(const RankLevel& level, Id context) {
  if (context < level.direct) return;
  const uint8_t* block = level.Block((context - level.direct) / kBlockContexts);
  __builtin_prefetch(block);
  __builtin_prefetch(block + 64);
}

// A double, or 0 if not `condition`, without a branch.
HWY_INLINE double Select(bool condition, double value) {
  return std::bit_cast<double>(std::bit_cast<uint64_t>(value) &
                               (uint64_t{0} - condition));
}

// A rank, or kNoRank if not `found`, without a branch: to find nothing is as
// likely as to find something.
HWY_INLINE uint32_t RankIf(bool found, uint32_t rank) {
  static_assert(kNoRank == ~uint32_t{0});
  return rank | (uint32_t{found} - 1);
}

HWY_INLINE uint32_t SumLanes32(__m256i lanes) {
  __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(lanes),
                              _mm256_extracti128_si256(lanes, 1));
  sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0x4e));
  sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0xb1));
  return static_cast<uint32_t>(_mm_cvtsi128_si32(sum));
}

HWY_INLINE __m256i Load32Bytes(const uint8_t* bytes) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(bytes));
}

// 32 bytes from kFirstBytes + 32 - n are the mask of the first n bytes.
inline constexpr std::array<uint8_t, 64> kFirstBytes = [] {
  std::array<uint8_t, 64> bytes = {};
  for (int i = 0; i < 32; ++i) bytes[i] = 0xFF;
  return bytes;
}();

// What the marks before a context say of the small contexts.
struct MarksBefore {
  uint32_t children;
  uint32_t bits;  // of the fields of the children
};

HWY_INLINE MarksBefore SumMarks(const RankLevel& level, const uint8_t* marks,
                                int count) {
  const __m256i bits_by_widths = _mm256_broadcastsi128_si256(_mm_loadu_si128(
      reinterpret_cast<const __m128i*>(level.child_bits.data())));
  const __m256i low = _mm256_set1_epi8(15);
  __m256i children = _mm256_setzero_si256();
  __m256i bits = _mm256_setzero_si256();
  const auto add = [&](__m256i mark) HWY_ATTR {
    __m256i size = _mm256_and_si256(mark, low);
    size = _mm256_andnot_si256(_mm256_cmpeq_epi8(size, low), size);
    const __m256i child_bits = _mm256_shuffle_epi8(
        bits_by_widths, _mm256_and_si256(_mm256_srli_epi16(mark, 4), low));
    children = _mm256_add_epi64(children,
                                _mm256_sad_epu8(size, _mm256_setzero_si256()));
    bits = _mm256_add_epi32(
        bits, _mm256_madd_epi16(_mm256_maddubs_epi16(size, child_bits),
                                _mm256_set1_epi16(1)));
  };
  const int first = count < 32 ? count : 32;
  add(_mm256_and_si256(Load32Bytes(marks),
                       Load32Bytes(&kFirstBytes[32 - first])));
  if (count > 32) {
    add(_mm256_and_si256(Load32Bytes(marks + 32),
                         Load32Bytes(&kFirstBytes[64 - count])));
  }
  return {SumLanes32(children), SumLanes32(bits)};
}

// Returns how many of the first marks are those of large contexts.
HWY_INLINE uint32_t CountLarges(const uint8_t* marks, int count) {
  const __m256i low = _mm256_set1_epi8(15);
  const auto find = [&](const uint8_t* at) HWY_ATTR {
    return static_cast<uint32_t>(_mm256_movemask_epi8(
        _mm256_cmpeq_epi8(_mm256_and_si256(Load32Bytes(at), low), low)));
  };
  const uint64_t larges = find(marks) | uint64_t{find(marks + 32)} << 32;
  return static_cast<uint32_t>(std::popcount(_bzhi_u64(larges, count)));
}

// The fields of small contexts in 16-bit lanes, 4 of them in 64 bits.
inline constexpr int kMaxLaneBits = 16;

inline constexpr std::array<uint64_t, kMaxLaneBits + 1> kLaneMasks = [] {
  std::array<uint64_t, kMaxLaneBits + 1> masks = {};
  for (int width = 0; width <= kMaxLaneBits; ++width) {
    const uint64_t lane = (uint64_t{1} << width) - 1;
    masks[width] = lane | lane << 16 | lane << 32 | lane << 48;
  }
  return masks;
}();

// 4 fields of this width are within 8 bytes, at any bit offset.
inline constexpr int kMaxNarrowBits = 14;
static_assert(kMaxSmallCountBits <= kMaxNarrowBits);

// Loads the 64 bits from a bit offset or, if `narrow`, 57 of them.
template <bool kNarrow>
HWY_INLINE uint64_t Load64(const uint8_t* bytes, uint64_t bit) {
  const uint8_t* at = bytes + bit / 8;
  const uint64_t shift = bit % 8;
  const uint64_t word = LoadUnaligned<uint64_t>(at) >> shift;
  return kNarrow ? word : word | uint64_t{at[8]} << 1 << (63 - shift);
}

// Expands 8 fields to 16-bit lanes.
template <bool kNarrow>
HWY_INLINE __m128i Expand8(const uint8_t* bytes, uint64_t bit, int width) {
  const uint64_t mask = kLaneMasks[width];
  return _mm_set_epi64x(
      static_cast<int64_t>(
          _pdep_u64(Load64<kNarrow>(bytes, bit + 4 * width), mask)),
      static_cast<int64_t>(_pdep_u64(Load64<kNarrow>(bytes, bit), mask)));
}

// Expands up to 14 fields; the lanes after them are undefined. REQUIRES: width
// <= kMaxLaneBits and, if `narrow`, kMaxNarrowBits.
template <bool kNarrow>
HWY_INLINE __m256i Expand(const uint8_t* bytes, uint64_t bit, int width,
                          uint32_t size) {
  const __m128i low = Expand8<kNarrow>(bytes, bit, width);
  if (size <= 8) return _mm256_zextsi128_si256(low);
  return _mm256_set_m128i(Expand8<kNarrow>(bytes, bit + 8 * width, width), low);
}

// A context in a block, after a first look at the block's header.
template <typename Id>
struct BlockContext {
  const uint8_t* marks;
  Id first_child;  // of the block
  // Not bytes: writing a byte might write to anything.
  uint16_t slot;          // see BatchScorer
  uint16_t widths;        // BlockHeader::single_widths
  uint16_t larges;        // BlockHeader::larges
  uint16_t single_count;  // of the block
  uint16_t singles_before;
  uint16_t marks_before;
  uint16_t mark;  // meaningless for a single
  bool single;

  // Reads the header of the block of the context `position`, which has no entry
  // among the direct contexts.
  HWY_INLINE void Read(const RankLevel& level, uint64_t position,
                       const uint8_t* block) {
    const int slot_in_block = static_cast<int>(position % kBlockContexts);
    const auto singles = LoadUnaligned<uint64_t>(block);
    first_child =
        static_cast<Id>(level.BlockBaseChild(position / kBlockContexts)) +
        LoadUnaligned<uint32_t>(block + 8);
    widths = block[12];
    larges = block[13];
    marks = block + kBlockHeaderBytes + BlockLarges::kBytes[larges];
    single = singles >> slot_in_block & 1;
    single_count = static_cast<uint16_t>(std::popcount(singles));
    singles_before =
        static_cast<uint16_t>(std::popcount(_bzhi_u64(singles, slot_in_block)));
    marks_before = static_cast<uint16_t>(slot_in_block - singles_before);
    mark = marks[marks_before];
  }

  bool has_large_mark() const { return (mark & 15) == kLargeMark; }
  int single_rank_bits() const { return widths & 31; }
  int single_bits() const {
    return single_rank_bits() + kSingleCountBits[widths >> 5];
  }
  const uint8_t* SingleFields() const {
    return marks + kBlockContexts - single_count;
  }
  BlockLarges Larges() const {
    return BlockLarges(marks - BlockLarges::kBytes[larges],
                       static_cast<uint8_t>(larges));
  }
  // The children of all large contexts before this one in the block.
  HWY_INLINE uint32_t LargeChildrenBefore() const {
    if (larges == 0) return 0;
    return Larges().Children(CountLarges(marks, marks_before));
  }
  // REQUIRES: the context is large.
  HWY_INLINE uint64_t LargeIndex() const {
    return uint64_t{Larges().FirstIndex()} + CountLarges(marks, marks_before);
  }
};

// The result of a look-up of one child.
template <typename Id>
struct Found {
  double share;     // u, or 0
  double leftover;  // g
  Id child;         // undefined if not found
  uint32_t index;   // of the child in its context, or kNoRank
};

// With kLast, the children are the n-grams of the highest order: their ids are
// not needed.
template <bool kLast, typename Id>
HWY_INLINE Found<Id> FindSingle(const RankLevel& level,
                                const BlockContext<Id>& context,
                                uint32_t rank) {
  const int before = context.singles_before;
  const int bits = context.single_bits();
  const int rank_bits = context.single_rank_bits();
  const uint64_t field = ReadBits(context.SingleFields(), before * bits, bits);
  const uint64_t stored = _bzhi_u64(field, rank_bits);
  const uint64_t count = (field >> rank_bits) + 1;
  const double discount = level.smoothing.discount[count < 3 ? count : 3];
  const double types = level.smoothing.types_weight;
  const double inverse =
      1 / (static_cast<double>(static_cast<int64_t>(count)) + types);
  const bool hit = stored == rank;
  Found<Id> found = {Select(hit, level.Share(count, inverse)),
                     (discount + types) * inverse, 0, RankIf(hit, 0)};
  if (!kLast) {
    found.child = context.first_child + before + context.LargeChildrenBefore() +
                  SumMarks(level, context.marks, context.marks_before).children;
  }
  return found;
}

// A small context with the position of its fields.
template <typename Id>
struct SmallContext {
  const uint8_t* fields;
  Id first_child;
  uint32_t bit;
  uint16_t mark;
  uint16_t slot;  // see BatchScorer

  HWY_INLINE void Read(const RankLevel& level,
                       const BlockContext<Id>& context) {
    const MarksBefore before =
        SumMarks(level, context.marks, context.marks_before);
    fields = context.SingleFields() +
             (context.single_count * context.single_bits() + 7) / 8;
    first_child = context.first_child + context.singles_before +
                  before.children + context.LargeChildrenBefore();
    bit = before.bits;
    mark = context.mark;
    slot = context.slot;
  }
};

// Returns a bit 2 i for each field i that is equal to the rank.
template <bool kNarrow>
HWY_INLINE uint32_t CompareRanks(const uint8_t* fields, uint32_t bit, int width,
                                 uint32_t size, uint32_t rank) {
  if (kNarrow || width <= kMaxLaneBits) {
    const __m256i ranks = Expand<kNarrow>(fields, bit, width, size);
    const auto equal =
        static_cast<uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi16(
            ranks, _mm256_set1_epi16(static_cast<int16_t>(rank)))));
    return equal & _bzhi_u32(0x55555555, 2 * size) &
           (uint32_t{0} - (rank <= 0xFFFF));
  }
  uint32_t equal = 0;
  for (uint32_t i = 0; i < size; ++i) {
    equal |= static_cast<uint32_t>(
                 ReadBits(fields, uint64_t{bit} + i * width, width) == rank)
             << (2 * i);
  }
  return equal;
}

// If `narrow`, the level has no fields of ranks of more than kMaxNarrowBits.
template <bool kNarrow, typename Id>
HWY_INLINE Found<Id> FindSmall(const RankLevel& level,
                               const SmallContext<Id>& context, uint32_t rank) {
  const uint32_t size = context.mark & 15;
  const int widths = context.mark >> 4;
  const int rank_bits = level.rank_bits[widths];
  const int count_bits = level.count_bits[widths];
  const uint32_t equal =
      CompareRanks<kNarrow>(context.fields, context.bit, rank_bits, size, rank);
  const uint32_t index = std::countr_zero(equal | 0x80000000u) / 2;
  const uint32_t counts_at = context.bit + size * rank_bits;
  __m256i counts = Expand<true>(context.fields, counts_at, count_bits, size);
  const __m256i lane =
      _mm256_setr_epi16(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const __m256i in_use =
      _mm256_cmpgt_epi16(_mm256_set1_epi16(static_cast<int16_t>(size)), lane);
  // The lanes have the counts less 1, and after the last one 0.
  counts = _mm256_and_si256(counts, in_use);
  const auto count_equal = [&](__m256i value) HWY_ATTR {
    return std::popcount(static_cast<uint32_t>(
               _mm256_movemask_epi8(_mm256_cmpeq_epi16(counts, value)))) /
           2;
  };
  const int ones =
      count_equal(_mm256_setzero_si256()) - (16 - static_cast<int>(size));
  const int twos = count_equal(_mm256_set1_epi16(1));
  const uint32_t sum =
      size + SumLanes32(_mm256_madd_epi16(counts, _mm256_set1_epi16(1)));
  const std::array<double, 4>& discount = level.smoothing.discount;
  const double types = level.smoothing.types_weight * size;
  const bool empty = size == 0;
  const double inverse =
      1 / (static_cast<double>(static_cast<int>(sum)) + types + empty);
  const double discounts = discount[1] * ones + discount[2] * twos +
                           discount[3] * (static_cast<int>(size) - ones - twos);
  const double leftover = (discounts + types) * inverse + empty;
  const bool hit = equal != 0;
  const uint64_t count =
      ReadBits(context.fields, counts_at + index * count_bits, count_bits) + 1;
  return {Select(hit, level.Share(count, inverse)), leftover,
          context.first_child + index, RankIf(hit, index)};
}

#endif  // HWY_ARCH_X86 && HWY_TARGET == HWY_AVX2

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace lmserve
HWY_AFTER_NAMESPACE();

#endif  // LMSERVE_MODELS_NGRAM_COMPACT_BLOCK_LOOKUP_INL_H_
