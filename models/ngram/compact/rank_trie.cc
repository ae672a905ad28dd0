// SPDX-License-Identifier: Apache-2.0
#include "models/ngram/compact/rank_trie.h"

#include <algorithm>
#include <bit>

#include "models/ngram/compact/bits.h"

namespace lmserve {

void RankLevel::SetWidths(const std::array<uint8_t, kFieldWidths>& ranks,
                          const std::array<uint8_t, kFieldWidths>& counts) {
  rank_bits = ranks;
  count_bits = counts;
  for (int i = 0; i < kFieldWidths; ++i) child_bits[i] = ranks[i] + counts[i];
  max_rank_bits = *std::max_element(ranks.begin(), ranks.end());
}

RankContext::RankContext(const RankLevel& level, NgramId id) : level_(&level) {
  if (id < level.direct) {
    ReadLarge(id);
  } else {
    ReadBlock(id - level.direct);
  }
}

void RankContext::ReadBlock(NgramId id) {
  const uint64_t index = id / kBlockContexts;
  const int slot = static_cast<int>(id % kBlockContexts);
  const uint8_t* block = level_->Block(index);
  const auto singles = LoadUnaligned<uint64_t>(block);
  first_child_ =
      level_->BlockBaseChild(index) + LoadUnaligned<uint32_t>(block + 8);
  const int single_rank_bits = block[12] & 31;
  const int single_count_bits = kSingleCountBits[block[12] >> 5];
  const BlockLarges larges(block + kBlockHeaderBytes, block[13]);
  const uint8_t* marks =
      block + kBlockHeaderBytes + BlockLarges::Bytes(block[13]);
  const int single_count = std::popcount(singles);
  const int singles_before =
      std::popcount(singles & ((uint64_t{1} << slot) - 1));
  const uint8_t* single_fields = marks + kBlockContexts - single_count;
  const int marks_before = slot - singles_before;
  uint32_t small_before = 0, larges_before = 0;
  uint64_t bits_before = 0;
  for (int i = 0; i < marks_before; ++i) {
    const uint32_t n = marks[i] & 15;
    if (n == kLargeMark) {
      ++larges_before;
    } else {
      small_before += n;
      bits_before += uint64_t{n} * level_->child_bits[marks[i] >> 4];
    }
  }
  if ((singles >> slot & 1) == 0 && (marks[marks_before] & 15) == kLargeMark) {
    return ReadLarge(uint64_t{larges.FirstIndex()} + larges_before);
  }
  first_child_ += static_cast<uint32_t>(singles_before) + small_before +
                  larges.Children(larges_before);
  const int single_bits = single_rank_bits + single_count_bits;
  if (singles >> slot & 1) {
    size_ = 1;
    bits_ = single_fields;
    rank_bits_ = single_rank_bits;
    count_bits_ = single_count_bits;
    ranks_at_ = static_cast<uint64_t>(singles_before) * single_bits;
  } else {
    const int widths = marks[marks_before] >> 4;
    size_ = marks[marks_before] & 15;
    bits_ = single_fields + (single_count * single_bits + 7) / 8;
    rank_bits_ = level_->rank_bits[widths];
    count_bits_ = level_->count_bits[widths];
    ranks_at_ = bits_before;
  }
  counts_at_ = ranks_at_ + uint64_t{size_} * rank_bits_;
  CountSums sums;
  for (uint32_t i = 0; i < size_; ++i) sums.Add(Count(i));
  weights_ = sums.Weights(level_->smoothing);
}

void RankContext::ReadLarge(uint64_t index) {
  large_ = &level_->larges[index];
  data_ = level_->LargeData(*large_, index);
  size_ = large_->size;
  first_child_ = level_->LargeFirstChild(*large_, index);
  weights_ = {large_->inverse, large_->leftover};
}

uint64_t RankContext::Count(uint32_t i) const {
  if (large_ == nullptr) {
    return 1 +
           ReadBits(bits_, counts_at_ + uint64_t{i} * count_bits_, count_bits_);
  }
  return FindLargeCount(*large_, data_, i).Count();
}

namespace {

// Returns the position of the i-th 1, counted from 0, at or after a bit.
uint64_t SelectBit(const uint8_t* bits, uint64_t from, uint64_t i) {
  for (uint64_t at = from;; at += 56) {
    const uint64_t word = ReadBits(bits, at, 56);
    const auto ones = static_cast<uint64_t>(std::popcount(word));
    if (i >= ones) {
      i -= ones;
      continue;
    }
    uint64_t rest = word;
    for (; i > 0; --i) rest &= rest - 1;
    return at + std::countr_zero(rest);
  }
}

}  // namespace

uint32_t RankContext::Rank(uint32_t i) const {
  if (large_ == nullptr) {
    return static_cast<uint32_t>(
        ReadBits(bits_, ranks_at_ + uint64_t{i} * rank_bits_, rank_bits_));
  }
  switch (large_->list()) {
    case RankList::kEmpty:
      break;
    case RankList::kShort:
      return LoadUnaligned<uint16_t>(data_ + size_t{2} * i);
    case RankList::kBitmap: {
      // Finds the last cell that has at most i children before it.
      uint32_t low = 0, high = large_->counts_at() / kCellBytes;
      while (high - low > 1) {
        const uint32_t middle = low + (high - low) / 2;
        if (LoadUnaligned<uint32_t>(data_ + size_t{middle} * kCellBytes) <= i) {
          low = middle;
        } else {
          high = middle;
        }
      }
      const uint8_t* cell = data_ + size_t{low} * kCellBytes;
      return low * kCellRanks +
             static_cast<uint32_t>(
                 SelectBit(cell + 4, 0, i - LoadUnaligned<uint32_t>(cell)));
    }
    case RankList::kFano8:
    case RankList::kFano16: {
      const FanoList list(*large_, data_);
      const uint64_t bit = SelectBit(list.upper, 0, i);
      return static_cast<uint32_t>((bit - i) << list.low_bits) | list.Low(i);
    }
  }
  return kNoRank;
}

namespace {

uint32_t FindInBitmap(const LargeContext& large, const uint8_t* data,
                      uint32_t rank) {
  const uint32_t cell = rank / kCellRanks, bit = rank % kCellRanks;
  if (cell >= large.counts_at() / kCellBytes) return kNoRank;
  const uint8_t* at = data + size_t{cell} * kCellBytes;
  if (ReadBits(at + 4, bit, 1) == 0) return kNoRank;
  uint32_t before = LoadUnaligned<uint32_t>(at);
  for (uint32_t begin = 0; begin < bit; begin += 32) {
    const int width = static_cast<int>(std::min<uint32_t>(32, bit - begin));
    before += std::popcount(ReadBits(at + 4, begin, width));
  }
  return before;
}

uint32_t FindInFano(const FanoList& list, uint32_t rank) {
  const uint32_t bucket = rank >> list.low_bits;
  if (bucket >= list.buckets) return kNoRank;
  // Finds the first bit of the bucket, after as many zeros.
  uint64_t bit = 0;
  uint32_t zeros = bucket % FanoList::kSampled;
  if (bucket >= FanoList::kSampled) {
    bit = list.Sample(bucket / FanoList::kSampled - 1);
  }
  for (int width = 32; zeros > 0;) {
    const uint64_t word = ReadBits(list.upper, bit, width);
    const auto count = static_cast<uint32_t>(width - std::popcount(word));
    if (count < zeros || width == 1) {
      zeros -= count;
      bit += width;
    } else {
      width /= 2;
    }
  }
  // The ones before the last zero belong to the bucket before.
  auto i = static_cast<uint32_t>(bit) - bucket;
  const uint32_t low = rank & ((uint32_t{1} << list.low_bits) - 1);
  for (; ReadBits(list.upper, bit, 1) != 0; ++bit, ++i) {
    if (list.Low(i) >= low) return list.Low(i) == low ? i : kNoRank;
  }
  return kNoRank;
}

}  // namespace

uint32_t RankContext::Find(uint32_t rank) const {
  if (large_ != nullptr && large_->list() == RankList::kBitmap) {
    return FindInBitmap(*large_, data_, rank);
  }
  if (large_ != nullptr && (large_->list() == RankList::kFano8 ||
                            large_->list() == RankList::kFano16)) {
    return FindInFano(FanoList(*large_, data_), rank);
  }
  for (uint32_t i = 0; i < size_; ++i) {
    const uint32_t stored = Rank(i);
    if (stored >= rank) return stored == rank ? i : kNoRank;
  }
  return kNoRank;
}

void RankContext::Ranks(std::vector<uint32_t>* ranks) const {
  ranks->clear();
  ranks->reserve(size_);
  if (large_ != nullptr && large_->list() == RankList::kBitmap) {
    const uint32_t cells = large_->counts_at() / kCellBytes;
    for (uint32_t cell = 0; cell < cells; ++cell) {
      for (uint32_t at = 0; at < kCellRanks; at += 32) {
        auto bits = LoadUnaligned<uint32_t>(data_ + size_t{cell} * kCellBytes +
                                            4 + at / 8);
        for (; bits != 0; bits &= bits - 1) {
          ranks->push_back(cell * kCellRanks + at + std::countr_zero(bits));
        }
      }
    }
    return;
  }
  if (large_ != nullptr && large_->list() != RankList::kShort && size_ > 0) {
    const FanoList list(*large_, data_);
    for (uint64_t at = 0; ranks->size() < size_; at += 32) {
      auto bits = static_cast<uint32_t>(ReadBits(list.upper, at, 32));
      for (; bits != 0 && ranks->size() < size_; bits &= bits - 1) {
        const auto i = static_cast<uint32_t>(ranks->size());
        const uint64_t bit = at + std::countr_zero(bits);
        ranks->push_back(static_cast<uint32_t>((bit - i) << list.low_bits) |
                         list.Low(i));
      }
    }
    return;
  }
  for (uint32_t i = 0; i < size_; ++i) ranks->push_back(Rank(i));
}

uint32_t RankContext::Best(uint32_t i) const {
  const int width = BitWidth(size_ - 1);
  return static_cast<uint32_t>(
      ReadBits(LargeBestAt(*large_, data_), uint64_t{i} * width, width));
}

std::optional<ChildPath> FindPath(absl::Span<const RankContext> contexts,
                                  uint32_t child) {
  ChildPath path;
  uint32_t rank = child;
  for (size_t k = contexts.size(); k > 0; --k) {
    if (rank >= contexts[k - 1].size()) return std::nullopt;
    path.positions[k - 1] = rank;
    rank = contexts[k - 1].Rank(rank);
  }
  path.word = rank;
  return path;
}

}  // namespace lmserve
