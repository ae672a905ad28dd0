// SPDX-License-Identifier: Apache-2.0
//
// CountModel::Score(): looks up many words at once.
//
// Let N_k(t) be the n-gram of order k that ends at word t, if it exists, and
// C_k(t) = N_k(t - 1) the contexts of the word. Then
//
//   N_{k+1}(t) = the child of C_k(t) that has the rank of N_k(t) among the
//                children of C_{k-1}(t),
//   p_k(t) = u(N_{k+1}(t)) + g(C_k(t)) p_{k-1}(t),
//
// where the rank of N_1(t) is the word's id, u is 0 if N_{k+1}(t) does not
// exist, and p_{order-1} is the probability. All look-ups of one order are
// independent of each other, and their addresses are known when the order
// before is done. So a block of words is processed order by order, and each
// order in passes, over lists without branches in between: each pass prefetches
// the memory that a later pass reads.
//
// The passes use AVX2 and BMI2, which x86-64 processors have had since 2013.
// Others score a word at a time with CountContext. The results have the same
// bits.
//
// Tested by tests/conformance and tests/models/ngram/count_model_test.cc.

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "models/ngram/bits.h"
#include "models/ngram/count_model.h"
#include "models/ngram/large_context.h"
#include "models/ngram/log_probabilities.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "models/ngram/count_score.cc"
// Of the instruction sets, only AVX2 makes a difference.
#define HWY_DISABLED_TARGETS (~(HWY_BASELINE_TARGETS | HWY_AVX2))
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace lmserve {
namespace HWY_NAMESPACE {
namespace {

#if HWY_ARCH_X86 && HWY_TARGET == HWY_AVX2

// A double, or 0 if not `condition`, without a branch.
double Select(bool condition, double value) {
  return std::bit_cast<double>(std::bit_cast<uint64_t>(value) &
                               (uint64_t{0} - condition));
}

uint32_t SumLanes32(__m256i lanes) {
  __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(lanes),
                              _mm256_extracti128_si256(lanes, 1));
  sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0x4e));
  sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0xb1));
  return static_cast<uint32_t>(_mm_cvtsi128_si32(sum));
}

// What the marks before a context say.
struct MarksBefore {
  uint32_t children;  // of small contexts
  uint32_t bits;      // of their fields
  uint32_t larges;
};

MarksBefore SumMarks(const CountLevel& level, const uint8_t* marks, int count) {
  const __m256i bits_by_widths = _mm256_broadcastsi128_si256(_mm_loadu_si128(
      reinterpret_cast<const __m128i*>(level.child_bits.data())));
  const __m256i low = _mm256_set1_epi8(15);
  const __m256i lane = _mm256_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11,
                                        12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
                                        22, 23, 24, 25, 26, 27, 28, 29, 30, 31);
  __m256i children = _mm256_setzero_si256();
  __m256i bits = _mm256_setzero_si256();
  uint32_t larges = 0;
  for (int i = 0; i < count; i += 32) {
    const __m256i mark =
        _mm256_loadu_si256(reinterpret_cast<const __m256i*>(marks + i));
    const __m256i before =
        _mm256_cmpgt_epi8(_mm256_set1_epi8(static_cast<char>(count - i)), lane);
    __m256i size = _mm256_and_si256(_mm256_and_si256(mark, low), before);
    const __m256i is_large = _mm256_cmpeq_epi8(size, low);
    larges +=
        std::popcount(static_cast<uint32_t>(_mm256_movemask_epi8(is_large)));
    size = _mm256_andnot_si256(is_large, size);
    const __m256i child_bits = _mm256_shuffle_epi8(
        bits_by_widths, _mm256_and_si256(_mm256_srli_epi16(mark, 4), low));
    children = _mm256_add_epi64(children,
                                _mm256_sad_epu8(size, _mm256_setzero_si256()));
    bits = _mm256_add_epi32(
        bits, _mm256_madd_epi16(_mm256_maddubs_epi16(size, child_bits),
                                _mm256_set1_epi16(1)));
  }
  return {SumLanes32(children), SumLanes32(bits), larges};
}

// The fields of small contexts in 16-bit lanes, 4 of them in 64 bits.
constexpr int kMaxLaneBits = 16;

constexpr std::array<uint64_t, kMaxLaneBits + 1> kLaneMasks = [] {
  std::array<uint64_t, kMaxLaneBits + 1> masks = {};
  for (int width = 0; width <= kMaxLaneBits; ++width) {
    const uint64_t lane = (uint64_t{1} << width) - 1;
    masks[width] = lane | lane << 16 | lane << 32 | lane << 48;
  }
  return masks;
}();

// Loads 64 bits from a bit offset.
uint64_t Load64(const uint8_t* bytes, uint64_t bit) {
  const uint8_t* at = bytes + bit / 8;
  const uint64_t shift = bit % 8;
  return LoadUnaligned<uint64_t>(at) >> shift | uint64_t{at[8]} << 1
                                                                << (63 - shift);
}

// Expands 8 fields to 16-bit lanes. REQUIRES: width <= kMaxLaneBits.
__m128i Expand8(const uint8_t* bytes, uint64_t bit, int width) {
  const uint64_t mask = kLaneMasks[width];
  return _mm_set_epi64x(
      static_cast<int64_t>(_pdep_u64(Load64(bytes, bit + 4 * width), mask)),
      static_cast<int64_t>(_pdep_u64(Load64(bytes, bit), mask)));
}

// Expands up to 14 fields; the lanes after them are undefined.
__m256i Expand(const uint8_t* bytes, uint64_t bit, int width, uint32_t size) {
  const __m128i low = Expand8(bytes, bit, width);
  if (size <= 8) return _mm256_zextsi128_si256(low);
  return _mm256_set_m128i(Expand8(bytes, bit + 8 * width, width), low);
}

// A context in a block, after a first look at the block's header.
struct BlockContext {
  const uint8_t* marks;
  NgramId first_child;  // of the block
  const uint8_t* block;
  uint8_t widths;          // BlockHeader::single_widths
  uint8_t single_count;    // of the block
  uint8_t singles_before;  // this context
  uint8_t marks_before;
  uint8_t mark;  // meaningless for a single
  bool single;

  BlockContext() = default;
  BlockContext(const uint8_t* block, NgramId base, int slot)
      : first_child(base + LoadUnaligned<uint32_t>(block + 8)),
        block(block),
        widths(block[12]) {
    const auto singles = LoadUnaligned<uint64_t>(block);
    marks = block + kBlockHeaderBytes + BlockLarges(block).bytes();
    single = singles >> slot & 1;
    single_count = static_cast<uint8_t>(std::popcount(singles));
    singles_before =
        static_cast<uint8_t>(std::popcount(_bzhi_u64(singles, slot)));
    marks_before = static_cast<uint8_t>(slot - singles_before);
    mark = marks[marks_before];
  }

  bool large() const { return !single && (mark & 15) == kLargeMark; }
  int single_bits() const {
    return (widths & 31) + kSingleCountBits[widths >> 5];
  }
  const uint8_t* SingleFields() const {
    return marks + kBlockContexts - single_count;
  }
  // The children of all large contexts before this one in the block.
  uint32_t LargeChildren(uint32_t larges_before) const {
    return BlockLarges(block).Children(larges_before);
  }
  uint64_t LargeIndex(uint32_t larges_before) const {
    return uint64_t{BlockLarges(block).FirstIndex()} + larges_before;
  }
};

// The result of a look-up of one child.
struct Found {
  double share;     // u, or 0
  double leftover;  // g
  NgramId child;    // undefined if not found
  uint32_t index;   // of the child in its context, or kNoRank
};

// With kLast, the children are the n-grams of the highest order: their ids are
// not needed.
template <bool kLast>
Found FindSingle(const CountLevel& level, const BlockContext& context,
                 uint32_t rank) {
  const int before = context.singles_before;
  const int bits = context.single_bits();
  const int rank_bits = context.widths & 31;
  const uint64_t field = ReadBits(context.SingleFields(), before * bits, bits);
  const uint64_t stored = field & ((uint64_t{1} << rank_bits) - 1);
  const uint64_t count = (field >> rank_bits) + 1;
  const double discount = level.smoothing.discount[count < 3 ? count : 3];
  const double types = level.smoothing.types_weight;
  const double inverse = 1 / (static_cast<double>(count) + types);
  const bool hit = stored == rank;
  Found found = {Select(hit, level.Share(count, inverse)),
                 (discount + types) * inverse, 0, hit ? 0 : kNoRank};
  if (!kLast) {
    const MarksBefore marks =
        SumMarks(level, context.marks, context.marks_before);
    found.child = context.first_child + before + marks.children +
                  context.LargeChildren(marks.larges);
  }
  return found;
}

// A small context with the position of its fields.
struct SmallContext {
  const uint8_t* fields;
  NgramId first_child;
  uint32_t bit;
  uint8_t mark;

  SmallContext() = default;
  SmallContext(const CountLevel& level, const BlockContext& context)
      : mark(context.mark) {
    const MarksBefore before =
        SumMarks(level, context.marks, context.marks_before);
    fields = context.SingleFields() +
             (context.single_count * context.single_bits() + 7) / 8;
    first_child = context.first_child + context.singles_before +
                  before.children + context.LargeChildren(before.larges);
    bit = before.bits;
  }
};

Found FindSmall(const CountLevel& level, const SmallContext& context,
                uint32_t rank) {
  const uint32_t size = context.mark & 15;
  const int widths = context.mark >> 4;
  const int rank_bits = level.rank_bits[widths];
  const int count_bits = level.count_bits[widths];
  const uint32_t lanes = (uint32_t{1} << (2 * size)) - 1;
  uint32_t equal = 0;
  if (rank_bits <= kMaxLaneBits) {
    const __m256i ranks = Expand(context.fields, context.bit, rank_bits, size);
    equal = static_cast<uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi16(
                ranks, _mm256_set1_epi16(static_cast<int16_t>(rank))))) &
            lanes & (uint32_t{0} - (rank <= 0xFFFF));
  } else {
    for (uint32_t i = 0; i < size; ++i) {
      const uint64_t stored =
          ReadBits(context.fields, context.bit + i * rank_bits, rank_bits);
      equal |= static_cast<uint32_t>(stored == rank) << (2 * i);
    }
  }
  const uint32_t index = std::countr_zero(equal | 0x80000000u) / 2;
  const uint64_t counts_at = context.bit + uint64_t{size} * rank_bits;
  __m256i counts = Expand(context.fields, counts_at, count_bits, size);
  const __m256i lane =
      _mm256_setr_epi16(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  counts = _mm256_and_si256(
      counts,
      _mm256_cmpgt_epi16(_mm256_set1_epi16(static_cast<int16_t>(size)), lane));
  const auto count_equal = [&](int value) {
    return std::popcount(
               static_cast<uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi16(
                   counts, _mm256_set1_epi16(static_cast<int16_t>(value))))) &
               lanes) /
           2;
  };
  const int ones = count_equal(0);
  const int twos = count_equal(1);
  const uint32_t sum =
      size + SumLanes32(_mm256_madd_epi16(counts, _mm256_set1_epi16(1)));
  const std::array<double, 4>& discount = level.smoothing.discount;
  const double types = level.smoothing.types_weight * size;
  const bool empty = size == 0;
  const double inverse = 1 / (static_cast<double>(sum) + types + empty);
  const double discounts = discount[1] * ones + discount[2] * twos +
                           discount[3] * (static_cast<int>(size) - ones - twos);
  const double leftover = (discounts + types) * inverse + empty;
  const bool hit = equal != 0;
  const uint64_t count =
      ReadBits(context.fields, counts_at + index * count_bits, count_bits) + 1;
  return {Select(hit, level.Share(count, inverse)), leftover,
          context.first_child + index, hit ? index : kNoRank};
}

// Returns the index of a rank in a bitmap, or kNoRank.
uint32_t FindInBitmap(const LargeContext& large, const uint8_t* data,
                      uint32_t rank) {
  const uint32_t cell = rank / kCellRanks;
  if (cell * kCellBytes >= large.counts_at()) return kNoRank;
  const uint32_t bit = rank % kCellRanks + 32;
  const uint8_t* at = data + cell * kCellBytes;
  if ((at[bit / 8] >> bit % 8 & 1) == 0) return kNoRank;
  const auto word = [at](int i) { return LoadUnaligned<uint64_t>(at + 8 * i); };
  const auto ones_below = [bit](uint64_t bits, uint32_t begin) {
    const uint32_t count = bit < begin ? 0 : bit - begin;
    return static_cast<uint32_t>(
        std::popcount(_bzhi_u64(bits, count < 64 ? count : 64)));
  };
  return static_cast<uint32_t>(word(0)) +
         ones_below(word(0) & ~uint64_t{0xFFFFFFFF}, 0) +
         ones_below(word(1), 64) + ones_below(word(2), 128) +
         ones_below(word(3), 192);
}

uint32_t FindInShort(const LargeContext& large, const uint8_t* data,
                     uint32_t rank) {
  if (rank > 0xFFFF) return kNoRank;
  const __m256i value = _mm256_set1_epi16(static_cast<int16_t>(rank));
  const auto equal = [&](const uint8_t* at) {
    return static_cast<uint64_t>(
        static_cast<uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi16(
            _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)), value))));
  };
  uint64_t found = equal(data);
  if (large.size > 16) found |= equal(data + 32) << 32;
  found &=
      large.size < 32 ? (uint64_t{1} << (2 * large.size)) - 1 : ~uint64_t{0};
  return found == 0 ? kNoRank
                    : static_cast<uint32_t>(std::countr_zero(found)) / 2;
}

// The ranks of one bucket of an Elias-Fano list: indices of children.
struct RankRun {
  uint32_t begin, size;
};

RankRun FindRun(const FanoList& list, uint32_t rank) {
  const uint32_t bucket = rank >> list.low_bits;
  if (bucket >= list.buckets) return {0, 0};
  // Finds the end of the bucket before: the bucket-th 0 of list.upper.
  uint64_t bit = 0;
  uint32_t zeros = bucket;
  if (bucket >= FanoList::kSampled) {
    bit = list.Sample(bucket / FanoList::kSampled - 1);
    zeros = bucket % FanoList::kSampled;
  }
  if (zeros > 0) {
    for (;;) {
      const uint64_t word =
          ~(LoadUnaligned<uint64_t>(list.upper + bit / 8) >> bit % 8) &
          (~uint64_t{0} >> 8);
      const auto count = static_cast<uint32_t>(std::popcount(word));
      if (count >= zeros) {
        bit +=
            std::countr_zero(_pdep_u64(uint64_t{1} << (zeros - 1), word)) + 1;
        break;
      }
      zeros -= count;
      bit += 56;
    }
  }
  uint32_t size = 0;
  for (uint64_t at = bit;; at += 56) {
    const uint64_t rest =
        ~(LoadUnaligned<uint64_t>(list.upper + at / 8) >> at % 8);
    const uint32_t ones = std::countr_zero(rest | uint64_t{1} << 56);
    size += ones;
    if (ones < 56) break;
  }
  return {static_cast<uint32_t>(bit) - bucket, size};
}

uint32_t FindInRun(const FanoList& list, const RankRun& run, uint32_t rank) {
  if (list.low_bits == 8) {
    const __m256i value = _mm256_set1_epi8(static_cast<char>(rank));
    for (uint32_t i = 0; i < run.size; i += 32) {
      auto equal = static_cast<uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(
          _mm256_loadu_si256(
              reinterpret_cast<const __m256i*>(list.lows + run.begin + i)),
          value)));
      if (run.size - i < 32) equal &= (uint32_t{1} << (run.size - i)) - 1;
      if (equal != 0) return run.begin + i + std::countr_zero(equal);
    }
    return kNoRank;
  }
  const __m256i value = _mm256_set1_epi16(static_cast<int16_t>(rank));
  for (uint32_t i = 0; i < run.size; i += 16) {
    auto equal = static_cast<uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi16(
        _mm256_loadu_si256(
            reinterpret_cast<const __m256i*>(list.lows + 2 * (run.begin + i))),
        value)));
    if (run.size - i < 16) equal &= (uint32_t{1} << 2 * (run.size - i)) - 1;
    if (equal != 0) return run.begin + i + std::countr_zero(equal) / 2;
  }
  return kNoRank;
}

uint32_t FindInLarge(const LargeContext& large, const uint8_t* data,
                     uint32_t rank) {
  switch (large.list()) {
    case RankList::kEmpty:
      break;
    case RankList::kBitmap:
      return FindInBitmap(large, data, rank);
    case RankList::kShort:
      return FindInShort(large, data, rank);
    case RankList::kFano8:
    case RankList::kFano16: {
      const FanoList list(large, data);
      return FindInRun(list, FindRun(list, rank), rank);
    }
  }
  return kNoRank;
}

Found FindInLargeContext(const CountLevel& level, uint64_t index,
                         uint32_t rank) {
  const LargeContext& large = level.larges[index];
  Found found = {0, large.leftover, kNoNgram, kNoRank};
  if (rank == kNoRank) return found;
  const uint8_t* data = level.LargeData(index);
  found.index = FindInLarge(large, data, rank);
  if (found.index == kNoRank) return found;
  found.child = level.LargeFirstChild(index) + found.index;
  found.share = level.Share(FindLargeCount(large, data, found.index).Count(),
                            large.inverse);
  return found;
}

// Scores one word after a chain of contexts, and advances the chain.
double ScoreWord(const CountModel& model, WordId word, CountChain& chain) {
  const CountTrie& trie = model.trie();
  const size_t levels = trie.levels.size();
  // The contexts' memory is far apart, but all addresses are known.
  const uint8_t* blocks[kMaxNgramOrder];
  for (size_t i = 1; i < levels && chain[i] != kNoNgram; ++i) {
    const CountLevel& level = trie.levels[i];
    if (chain[i] < level.direct) continue;
    blocks[i] = level.Block((chain[i] - level.direct) / kBlockContexts);
    __builtin_prefetch(blocks[i]);
    __builtin_prefetch(blocks[i] + 64);
  }
  double probability = trie.UnigramProbability(word);
  uint32_t rank = word;
  NgramId next = model.FirstOfChain(word);
  for (size_t i = 0; i < levels; ++i) {
    const NgramId context = chain[i];
    chain[i] = next;
    if (context == kNoNgram) {
      std::fill(chain.begin() + i + 1, chain.begin() + levels, kNoNgram);
      break;
    }
    const CountLevel& level = trie.levels[i];
    Found found;
    if (context < level.direct) {
      found = FindInLargeContext(level, context, rank);
    } else {
      const uint64_t position = context - level.direct;
      const uint64_t index = position / kBlockContexts;
      const BlockContext block(i == 0 ? level.Block(index) : blocks[i],
                               level.BlockBaseChild(index),
                               static_cast<int>(position % kBlockContexts));
      if (block.single) {
        found = i + 1 == levels ? FindSingle<true>(level, block, rank)
                                : FindSingle<false>(level, block, rank);
      } else if (block.large()) {
        const MarksBefore before =
            SumMarks(level, block.marks, block.marks_before);
        found =
            FindInLargeContext(level, block.LargeIndex(before.larges), rank);
      } else {
        found = FindSmall(level, SmallContext(level, block), rank);
      }
    }
    probability = found.leftover * probability + found.share;
    rank = found.index;
    next = rank == kNoRank ? kNoNgram : found.child;
    if (i + 1 < levels && next != kNoNgram) {
      const CountLevel& above = trie.levels[i + 1];
      __builtin_prefetch(
          &above.directory[(next - above.direct) / kBlockContexts]);
    }
  }
  return probability;
}

// Scores one batch. Lives for one call of Score().
class BatchScorer {
 public:
  explicit BatchScorer(const CountModel& model)
      : model_(model),
        trie_(model.trie()),
        levels_(static_cast<int>(trie_.levels.size())) {}

  void Run(absl::Span<const LanguageModel::Query> batch) {
    for (const LanguageModel::Query& query : batch) Add(query);
    ScoreBlock();
  }

 private:
  // Words in a block: enough look-ups to hide the latency of memory, few enough
  // that prefetched data stays in the cache.
  static constexpr int kSlots = 128;
  static constexpr int kMaxPieces = kSlots / 2;

  template <typename T>
  using Slots = std::array<T, kSlots>;

  // A part of one text in the block, in the slots [begin, end). The slot before
  // `begin` holds the contexts of its first word.
  struct Piece {
    const LanguageModel::Query* query;
    size_t first_word;
    int begin, end;
  };

  // A look-up in a large context.
  struct LargeLookup {
    const LargeContext* large;
    const uint8_t* data;
    uint64_t index;  // of the large context
    uint32_t child;  // index of the child that was found
    RankRun run;     // of an Elias-Fano list
    uint8_t slot;
  };

  void Add(const LanguageModel::Query& query) {
    if (query.words.empty()) {
      if (query.next_state != nullptr) {
        std::memmove(query.next_state, query.state, model_.state_size());
      }
      return;
    }
    if (used_ + 2 > kSlots) ScoreBlock();
    AddContext(query.state);
    size_t next = 0;
    for (;;) {
      const size_t count =
          std::min<size_t>(query.words.size() - next, kSlots - used_);
      pieces_[piece_count_++] = {&query, next, used_,
                                 used_ + static_cast<int>(count)};
      for (size_t i = 0; i < count; ++i) AddWord(query.words[next + i]);
      next += count;
      if (next == query.words.size()) return;
      ScoreBlock();
      KeepLastSlot();
    }
  }

  // Adds a slot for the contexts before a text.
  void AddContext(const std::byte* state) {
    const int slot = used_++;
    CountChain chain;
    model_.Read(state, &chain);
    for (int k = 0; k < levels_; ++k) ngrams_[k][slot] = chain[k];
    is_word_[slot] = false;
    none_[slot] = 0;
    context_slots_[context_count_++] = static_cast<uint8_t>(slot);
    PrefetchContext(0, chain[0]);
  }

  void AddWord(WordId word) {
    const int slot = used_++;
    words_[slot] = word;
    is_word_[slot] = true;
    none_[slot] = kNoNgram;
    ngrams_[0][slot] = model_.FirstOfChain(word);
    __builtin_prefetch(trie_.counts32 != nullptr
                           ? static_cast<const void*>(&trie_.counts32[word])
                           : &trie_.counts64[word]);
    PrefetchContext(0, ngrams_[0][slot]);
  }

  // Copies the last slot to the first one, as the context of a text that
  // continues in the next block.
  void KeepLastSlot() {
    for (int k = 0; k < levels_; ++k) ngrams_[k][0] = ngrams_[k][kSlots - 1];
    is_word_[0] = false;
    none_[0] = 0;
    context_slots_[0] = 0;
    context_count_ = 1;
    used_ = 1;
  }

  void PrefetchContext(int level, NgramId id) const {
    if (level >= levels_ || id == kNoNgram) return;
    const CountLevel& l = trie_.levels[level];
    __builtin_prefetch(id < l.direct
                           ? static_cast<const void*>(&l.larges[id])
                           : &l.directory[(id - l.direct) / kBlockContexts]);
  }

  void ScoreBlock() {
    for (int s = 0; s < used_; ++s) {
      probabilities_[s] =
          is_word_[s] ? trie_.UnigramProbability(words_[s]) : 1.0;
    }
    is_word_[used_] = false;
    std::copy_n(words_.data(), used_, ranks_);
    found_count_ = 0;
    for (int s = 0; s < used_; ++s) {
      found_[found_count_] = static_cast<uint8_t>(s);
      found_count_ += is_word_[s] && ngrams_[0][s] != kNoNgram;
    }
    for (int k = 0; k + 1 < levels_; ++k) ScoreLevel<false>(k);
    if (levels_ > 0) ScoreLevel<true>(levels_ - 1);
    std::array<float, kSlots> logs;
    LogProbabilities({probabilities_.data(), static_cast<size_t>(used_)},
                     {logs.data(), static_cast<size_t>(used_)});
    for (int i = 0; i < piece_count_; ++i) FinishPiece(pieces_[i], logs);
    used_ = piece_count_ = context_count_ = 0;
  }

  void FinishPiece(const Piece& piece, const std::array<float, kSlots>& logs) {
    const LanguageModel::Query& query = *piece.query;
    const size_t size = piece.end - piece.begin;
    if (!query.log_probs.empty()) {
      std::copy_n(&logs[piece.begin], size, &query.log_probs[piece.first_word]);
    }
    if (query.next_state == nullptr ||
        piece.first_word + size < query.words.size()) {
      return;
    }
    CountChain chain;
    chain[0] = kNoNgram;
    for (int k = 0; k < levels_; ++k) chain[k] = ngrams_[k][piece.end - 1];
    model_.Write(chain, query.next_state);
  }

  // Finds the n-grams of the level's contexts: ngrams_[k] has the contexts of
  // this level, ngrams_[k + 1] gets their children.
  template <bool kLast>
  void ScoreLevel(int k) {
    const CountLevel& level = trie_.levels[k];
    level_ = &level;
    next_ngrams_ = kLast ? nullptr : ngrams_[k + 1].data();
    next_level_ = kLast ? nullptr : &trie_.levels[k + 1];
    // The slots of the words whose context exists.
    lookup_count_ = 0;
    const auto add = [this](int slot) {
      lookups_[lookup_count_] = static_cast<uint8_t>(slot + 1);
      lookup_count_ += is_word_[slot + 1];
    };
    for (int i = 0; i < found_count_; ++i) add(found_[i]);
    for (int i = 0; i < context_count_; ++i) {
      if (ngrams_[k][context_slots_[i]] != kNoNgram) add(context_slots_[i]);
    }
    found_count_ = 0;
    // Nothing is found yet; the slots of contexts keep what they have.
    std::swap(ranks_, last_ranks_);
    if (!kLast) {
      for (int s = 0; s < used_; ++s) next_ngrams_[s] |= none_[s];
      for (int s = 0; s < used_; ++s) ranks_[s] = kNoRank;
    }

    FindBlocks(k);
    int singles = 0, smalls = 0, larges = 0;
    for (int i = 0; i < block_count_; ++i) {
      BlockContext& block = blocks_[i];
      const uint64_t index = block_indices_[i];
      block = BlockContext(level.Block(index), level.BlockBaseChild(index),
                           block_slots_[i]);
      single_[singles] = static_cast<uint8_t>(i);
      singles += block.single;
      small_[smalls] = static_cast<uint8_t>(i);
      smalls += !block.single && !block.large();
      large_[larges] = static_cast<uint8_t>(i);
      larges += block.large();
    }
    for (int i = 0; i < larges; ++i) {
      const BlockContext& block = blocks_[large_[i]];
      const MarksBefore before =
          SumMarks(level, block.marks, block.marks_before);
      AddLarge(block.LargeIndex(before.larges), block_words_[large_[i]]);
    }
    for (int i = 0; i < singles; ++i) {
      const int slot = block_words_[single_[i]];
      Finish<kLast>(slot, FindSingle<kLast>(level, blocks_[single_[i]],
                                            last_ranks_[slot]));
    }
    for (int i = 0; i < smalls; ++i) {
      small_contexts_[i] = SmallContext(level, blocks_[small_[i]]);
      __builtin_prefetch(small_contexts_[i].fields +
                         small_contexts_[i].bit / 8);
    }
    for (int i = 0; i < smalls; ++i) {
      const int slot = block_words_[small_[i]];
      Finish<kLast>(slot,
                    FindSmall(level, small_contexts_[i], last_ranks_[slot]));
    }
    FindLarge<kLast>();
  }

  // Splits the look-ups into those of direct contexts and those in blocks.
  void FindBlocks(int k) {
    const CountLevel& level = *level_;
    block_count_ = large_count_ = 0;
    for (int i = 0; i < lookup_count_; ++i) {
      const int slot = lookups_[i];
      const NgramId context = ngrams_[k][slot - 1];
      if (context < level.direct) {
        AddLarge(context, slot);
        continue;
      }
      const uint64_t position = context - level.direct;
      const uint64_t index = position / kBlockContexts;
      const uint8_t* block = level.Block(index);
      __builtin_prefetch(block);
      __builtin_prefetch(block + 64);
      block_indices_[block_count_] = index;
      block_slots_[block_count_] = position % kBlockContexts;
      block_words_[block_count_++] = static_cast<uint8_t>(slot);
    }
  }

  void AddLarge(uint64_t index, int slot) {
    LargeLookup& lookup = larges_[large_count_++];
    lookup.large = &level_->larges[index];
    lookup.index = index;
    lookup.slot = static_cast<uint8_t>(slot);
    __builtin_prefetch(lookup.large);
  }

  template <bool kLast>
  void FindLarge() {
    // The lists by kind, as indices of larges_.
    int bitmaps = 0, shorts = 0, fanos = 0, found = 0;
    for (int i = 0; i < large_count_; ++i) {
      LargeLookup& lookup = larges_[i];
      const LargeContext& large = *lookup.large;
      probabilities_[lookup.slot] *= large.leftover;
      const uint32_t rank = last_ranks_[lookup.slot];
      if (rank == kNoRank) continue;
      lookup.data = level_->LargeData(lookup.index);
      const RankList list = large.list();
      bitmap_[bitmaps] = static_cast<uint8_t>(i);
      bitmaps += list == RankList::kBitmap;
      short_[shorts] = static_cast<uint8_t>(i);
      shorts += list == RankList::kShort;
      fano_[fanos] = static_cast<uint8_t>(i);
      fanos += list == RankList::kFano8 || list == RankList::kFano16;
      const uint32_t at =
          list == RankList::kBitmap ? rank / kCellRanks * kCellBytes : 0;
      __builtin_prefetch(lookup.data + at);
      if (list != RankList::kBitmap) __builtin_prefetch(lookup.data + 64);
    }
    const auto keep = [&](uint8_t i, uint32_t child) {
      LargeLookup& lookup = larges_[i];
      lookup.child = child;
      found_large_[found] = i;
      found += child != kNoRank;
      const uint8_t* counts = lookup.data + lookup.large->counts_at();
      __builtin_prefetch(lookup.large->size <= kGroupCounts
                             ? counts
                             : counts + child / kGroupCounts * 2);
    };
    for (int i = 0; i < fanos; ++i) {
      LargeLookup& lookup = larges_[fano_[i]];
      const FanoList list(*lookup.large, lookup.data);
      lookup.run = FindRun(list, last_ranks_[lookup.slot]);
      __builtin_prefetch(list.lows + lookup.run.begin * (list.low_bits / 8));
    }
    for (int i = 0; i < bitmaps; ++i) {
      const LargeLookup& lookup = larges_[bitmap_[i]];
      keep(bitmap_[i],
           FindInBitmap(*lookup.large, lookup.data, last_ranks_[lookup.slot]));
    }
    for (int i = 0; i < shorts; ++i) {
      const LargeLookup& lookup = larges_[short_[i]];
      keep(short_[i],
           FindInShort(*lookup.large, lookup.data, last_ranks_[lookup.slot]));
    }
    for (int i = 0; i < fanos; ++i) {
      const LargeLookup& lookup = larges_[fano_[i]];
      keep(fano_[i], FindInRun(FanoList(*lookup.large, lookup.data), lookup.run,
                               last_ranks_[lookup.slot]));
    }
    for (int i = 0; i < found; ++i) {
      const LargeLookup& lookup = larges_[found_large_[i]];
      const uint64_t count =
          FindLargeCount(*lookup.large, lookup.data, lookup.child).Count();
      probabilities_[lookup.slot] +=
          level_->Share(count, lookup.large->inverse);
      if (!kLast) {
        Keep(lookup.slot, level_->LargeFirstChild(lookup.index) + lookup.child,
             lookup.child, true);
      }
    }
  }

  template <bool kLast>
  void Finish(int slot, const Found& found) {
    probabilities_[slot] = found.leftover * probabilities_[slot] + found.share;
    if (!kLast) {
      Keep(slot, found.child, found.index, found.index != kNoRank);
    }
  }

  // Keeps the n-gram that was found, as a context of the next level.
  void Keep(int slot, NgramId child, uint32_t index, bool hit) {
    next_ngrams_[slot] = hit ? child : kNoNgram;
    ranks_[slot] = index;
    found_[found_count_] = static_cast<uint8_t>(slot);
    found_count_ += hit;
    const CountLevel& next = *next_level_;
    const bool in_block = hit && child >= next.direct;
    __builtin_prefetch(
        &next.directory[(in_block ? child - next.direct : 0) / kBlockContexts]);
  }

  const CountModel& model_;
  const CountTrie& trie_;
  const int levels_;

  int used_ = 0;  // number of slots in use
  int piece_count_ = 0;
  std::array<Piece, kMaxPieces> pieces_;
  int context_count_ = 0;
  std::array<uint8_t, kMaxPieces> context_slots_;
  Slots<WordId> words_;
  std::array<bool, kSlots + 1> is_word_;
  Slots<NgramId> none_;  // kNoNgram for words, 0 for contexts
  Slots<double> probabilities_;
  // The n-gram of order k + 1 that ends at a slot, or kNoNgram.
  std::array<Slots<NgramId>, kMaxNgramOrder - 1> ngrams_;
  // The rank of a slot's word among the children of the suffix of its context.
  std::array<Slots<uint32_t>, 2> rank_buffers_;
  uint32_t* last_ranks_ = rank_buffers_[0].data();
  uint32_t* ranks_ = rank_buffers_[1].data();

  // Of the current level.
  const CountLevel* level_;
  const CountLevel* next_level_;
  NgramId* next_ngrams_;
  int found_count_, lookup_count_, block_count_, large_count_;
  Slots<uint8_t> found_, lookups_;
  Slots<uint64_t> block_indices_;
  Slots<uint8_t> block_slots_, block_words_;
  Slots<BlockContext> blocks_;
  Slots<uint8_t> single_, small_, large_;
  Slots<SmallContext> small_contexts_;
  Slots<LargeLookup> larges_;
  Slots<uint8_t> bitmap_, short_, fano_, found_large_;
};

#else  // without AVX2

double ScoreWord(const CountModel& model, WordId word, CountChain& chain) {
  const CountTrie& trie = model.trie();
  double probability = trie.UnigramProbability(word);
  uint32_t rank = word;
  NgramId next = model.FirstOfChain(word);
  for (size_t i = 0; i < trie.levels.size(); ++i) {
    const NgramId id = chain[i];
    chain[i] = next;
    next = kNoNgram;
    if (id == kNoNgram) {
      rank = kNoRank;
      continue;
    }
    const CountContext context(trie.levels[i], id);
    const uint32_t index = rank == kNoRank ? kNoRank : context.Find(rank);
    double share = 0;
    if (index != kNoRank) {
      share = context.Share(index);
      next = context.first_child() + index;
    }
    probability = context.weights().leftover * probability + share;
    rank = index;
  }
  return probability;
}

#endif

// Scores the words of a query one at a time.
void ScoreWords(const CountModel& model, const LanguageModel::Query& query) {
  CountChain chain;
  model.Read(query.state, &chain);
  constexpr size_t kWords = 64;
  double probabilities[kWords];
  for (size_t begin = 0; begin < query.words.size(); begin += kWords) {
    const auto words = query.words.subspan(begin, kWords);
    for (size_t i = 0; i < words.size(); ++i) {
      probabilities[i] = ScoreWord(model, words[i], chain);
    }
    if (query.log_probs.empty()) continue;
    LogProbabilities({probabilities, words.size()},
                     query.log_probs.subspan(begin, words.size()));
  }
  if (query.next_state != nullptr) model.Write(chain, query.next_state);
}

void Score(const CountModel& model,
           absl::Span<const LanguageModel::Query> batch) {
#if HWY_ARCH_X86 && HWY_TARGET == HWY_AVX2
  // The words of a text of which there are fewer are not worth the lists.
  constexpr size_t kFew = 4;
  if (batch.size() > 1 || (batch.size() == 1 && batch[0].words.size() > kFew)) {
    return BatchScorer(model).Run(batch);
  }
#endif
  for (const LanguageModel::Query& query : batch) ScoreWords(model, query);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace lmserve
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

namespace lmserve {

HWY_EXPORT(Score);

void CountModel::Score(absl::Span<const Query> batch) const {
  HWY_DYNAMIC_DISPATCH(Score)(*this, batch);
}

}  // namespace lmserve

#endif  // HWY_ONCE
