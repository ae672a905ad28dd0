// SPDX-License-Identifier: Apache-2.0
//
// Finds a child of a large context (see LargeContext), with AVX2 and BMI2.
// Nothing is checked, but that a rank is within a bitmap. Included by
// count_score.cc, once for each instruction set of Highway.

#if defined(LMSERVE_MODELS_NGRAM_COMPACT_LARGE_LOOKUP_INL_H_) == \
    defined(HWY_TARGET_TOGGLE)
#ifdef LMSERVE_MODELS_NGRAM_COMPACT_LARGE_LOOKUP_INL_H_
#undef LMSERVE_MODELS_NGRAM_COMPACT_LARGE_LOOKUP_INL_H_
#else
#define LMSERVE_MODELS_NGRAM_COMPACT_LARGE_LOOKUP_INL_H_
#endif

#include <bit>
#include <cstdint>

#include "hwy/highway.h"
#include "models/ngram/compact/bits.h"
#include "models/ngram/compact/block_lookup-inl.h"
#include "models/ngram/compact/large_context.h"
#include "models/ngram/compact/rank_trie.h"

HWY_BEFORE_NAMESPACE();
namespace lmserve {
namespace HWY_NAMESPACE {
namespace {

#if HWY_ARCH_X86 && HWY_TARGET == HWY_AVX2

// Returns the index of a rank in a bitmap, or kNoRank.
HWY_INLINE uint32_t FindInBitmap(const LargeContext& large, const uint8_t* data,
                                 uint32_t rank) {
  const uint32_t cell = rank / kCellRanks;
  if (cell * kCellBytes >= large.counts_at()) return kNoRank;
  const uint32_t bit = rank - cell * kCellRanks + 32;
  const uint8_t* at = data + cell * kCellBytes;
  const bool found = at[bit / 8] >> bit % 8 & 1;
  // Counts the ones before the bit: in each lane of 64 bits, `limit` bits. If
  // limit is 64 or more, the shift leaves nothing of the mask's complement.
  const __m256i limit =
      _mm256_sub_epi64(_mm256_set1_epi64x(static_cast<int64_t>(bit)),
                       _mm256_setr_epi64x(0, 64, 128, 192));
  const __m256i mask =
      _mm256_andnot_si256(_mm256_sllv_epi64(_mm256_set1_epi64x(-1), limit),
                          _mm256_cmpgt_epi64(limit, _mm256_setzero_si256()));
  const __m256i bits_of_ranks =
      _mm256_setr_epi32(0, -1, -1, -1, -1, -1, -1, -1);
  alignas(32) uint64_t before[4];
  _mm256_store_si256(
      reinterpret_cast<__m256i*>(before),
      _mm256_and_si256(_mm256_and_si256(Load32Bytes(at), bits_of_ranks), mask));
  const int ones = std::popcount(before[0]) + std::popcount(before[1]) +
                   std::popcount(before[2]) + std::popcount(before[3]);
  return RankIf(found, LoadUnaligned<uint32_t>(at) + ones);
}

HWY_INLINE uint32_t FindInShort(const LargeContext& large, const uint8_t* data,
                                uint32_t rank) {
  const __m256i value = _mm256_set1_epi16(static_cast<int16_t>(rank));
  const auto equal = [&](const uint8_t* at) HWY_ATTR {
    return static_cast<uint64_t>(
        static_cast<uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi16(
            _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)), value))));
  };
  // There are at most kGroupCounts = 32 of them.
  const uint64_t equals =
      _bzhi_u64(equal(data) | equal(data + 32) << 32, 2 * large.size);
  return RankIf(equals != 0 && rank <= 0xFFFF,
                static_cast<uint32_t>(std::countr_zero(equals)) / 2);
}

// The ranks of one bucket of an Elias-Fano list.
struct RankRun {
  const uint8_t* lows;  // their low bits
  uint32_t begin;       // the index of the first in the list
  uint32_t size;
  int low_bits;
};

HWY_INLINE RankRun FindRun(const LargeContext& large, const uint8_t* data,
                           uint32_t rank) {
  const FanoList list(large, data);
  const uint32_t bucket = rank >> list.low_bits;
  if (bucket >= list.buckets) return {list.lows, 0, 0, list.low_bits};
  // Finds the end of the bucket before: the bucket-th 0 of list.upper.
  uint32_t bit = 0;
  uint32_t zeros = bucket;
  if (bucket >= FanoList::kSampled) {
    bit = list.Sample(bucket / FanoList::kSampled - 1);
    zeros = bucket % FanoList::kSampled;
  }
  const uint8_t* at = list.upper + bit / 64 * 8;
  uint64_t word = ~LoadUnaligned<uint64_t>(at) & (~uint64_t{0} << bit % 64);
  for (;;) {
    const auto count = static_cast<uint32_t>(std::popcount(word));
    if (count >= zeros) break;
    zeros -= count;
    at += 8;
    word = ~LoadUnaligned<uint64_t>(at);
  }
  const uint32_t end =
      static_cast<uint32_t>(at - list.upper) * 8 +
      std::countr_zero(_pdep_u64(uint64_t{1} << (zeros - 1) % 64, word)) + 1;
  bit = zeros == 0 ? bit : end;
  uint32_t size = 0;
  for (uint32_t from = bit;; from += 56) {
    const uint64_t rest =
        ~(LoadUnaligned<uint64_t>(list.upper + from / 8) >> from % 8);
    const uint32_t ones = std::countr_zero(rest | uint64_t{1} << 56);
    size += ones;
    if (HWY_LIKELY(ones < 56)) break;
  }
  const uint32_t begin = bit - bucket;
  return {list.lows + begin * (list.low_bits / 8), begin, size, list.low_bits};
}

HWY_INLINE uint32_t FindInRun(const RankRun& run, uint32_t rank) {
  if (run.low_bits == 8) {
    const __m256i value = _mm256_set1_epi8(static_cast<char>(rank));
    const auto equal = [&](uint32_t i) HWY_ATTR {
      return static_cast<uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(
          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(run.lows + i)),
          value)));
    };
    uint32_t i = 0;
    uint32_t equals = equal(0);
    while (run.size - i > 32 && equals == 0) equals = equal(i += 32);
    equals = _bzhi_u32(equals, run.size - i < 32 ? run.size - i : 32);
    return RankIf(equals != 0, run.begin + i + std::countr_zero(equals));
  }
  const __m256i value = _mm256_set1_epi16(static_cast<int16_t>(rank));
  for (uint32_t i = 0; i < run.size; i += 16) {
    auto equal = static_cast<uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi16(
        _mm256_loadu_si256(reinterpret_cast<const __m256i*>(run.lows + 2 * i)),
        value)));
    if (run.size - i < 16) equal = _bzhi_u32(equal, 2 * (run.size - i));
    if (equal != 0) return run.begin + i + std::countr_zero(equal) / 2;
  }
  return kNoRank;
}

HWY_INLINE uint32_t FindInLarge(const LargeContext& large, const uint8_t* data,
                                uint32_t rank) {
  switch (large.list()) {
    case RankList::kEmpty:
      break;
    case RankList::kBitmap:
      return FindInBitmap(large, data, rank);
    case RankList::kShort:
      return FindInShort(large, data, rank);
    case RankList::kFano8:
    case RankList::kFano16:
      return FindInRun(FindRun(large, data, rank), rank);
  }
  return kNoRank;
}

#endif  // HWY_ARCH_X86 && HWY_TARGET == HWY_AVX2

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace lmserve
HWY_AFTER_NAMESPACE();

#endif  // LMSERVE_MODELS_NGRAM_COMPACT_LARGE_LOOKUP_INL_H_
