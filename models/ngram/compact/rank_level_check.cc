// SPDX-License-Identifier: Apache-2.0
//
// Checks every byte of a level that look-ups rely on.
//
// The number of steps is bounded by the size of the file, whatever it says: the
// data of the contexts must follow each other, so no byte is decoded twice.
#include "models/ngram/compact/rank_level_check.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <vector>

#include "models/ngram/compact/bits.h"

namespace lmserve {
namespace {

static_assert(std::endian::native == std::endian::little,
              "ngram.bin is little-endian and used in place");

const uint8_t* Bytes(absl::string_view file) {
  return reinterpret_cast<const uint8_t*>(file.data());
}

// Checks the contexts of one order and their children.
class LevelCheck {
 public:
  LevelCheck(absl::string_view file, const RankLevel& level,
             const RankLevelRecord& record, const LevelPlace& place)
      : file_(Bytes(file)),
        level_(level),
        record_(record),
        begin_sentence_(place.begin_sentence),
        // Ranks of higher orders are compared when they are used.
        ranks_(place.order == 1 ? place.vocabulary_size : kNoRank),
        first_order_(place.order == 1) {}

  absl::Status Run() {
    for (uint64_t i = 0; i < level_.direct; ++i) {
      if (absl::Status status = CheckLarge(); !status.ok()) return status;
    }
    const uint64_t contexts = level_.contexts - level_.direct;
    for (uint64_t i = 0; i * kBlockContexts < contexts; ++i) {
      const auto used = static_cast<int>(
          std::min<uint64_t>(kBlockContexts, contexts - i * kBlockContexts));
      if (absl::Status status = CheckBlock(i, used); !status.ok()) {
        return status;
      }
    }
    if (next_large_ != level_.large_count) {
      return BrokenNgramFile(record_.larges_at, "large contexts in blocks",
                             level_.large_count, next_large_);
    }
    if (children_ != level_.children) {
      return BrokenNgramFile(record_.blocks_at, "children of all contexts",
                             level_.children, children_);
    }
    return absl::OkStatus();
  }

 private:
  uint64_t OffsetOf(const uint8_t* at) const { return at - file_; }

  absl::Status CheckBase(uint64_t field, const BlockBase& base, uint64_t data) {
    if (base.child != children_) {
      return BrokenNgramFile(field, "first child of a group", children_,
                             base.child);
    }
    if (base.data != data) {
      return BrokenNgramFile(field + 8, "offset of a group", data, base.data);
    }
    return absl::OkStatus();
  }

  absl::Status CheckRank(const uint8_t* at, uint64_t rank) const {
    if (rank >= ranks_) {
      return BrokenNgramFile(OffsetOf(at), "rank of a child",
                             absl::StrCat("less than ", ranks_), rank);
    }
    if (first_order_ && rank == begin_sentence_) {
      return BrokenNgramFile(OffsetOf(at), "child", "a word other than <s>",
                             rank);
    }
    return absl::OkStatus();
  }

  // Checks that `rank` may follow the rank before it in a context.
  absl::Status CheckNextRank(const uint8_t* at, uint32_t i, uint64_t rank) {
    if (i > 0 && rank <= last_rank_) {
      return BrokenNgramFile(OffsetOf(at), "rank of a child",
                             absl::StrCat("more than ", last_rank_), rank);
    }
    last_rank_ = rank;
    return CheckRank(at, rank);
  }

  absl::Status CheckBlock(uint64_t index, int used) {
    const uint64_t base = index / kBlocksPerBase;
    if (index % kBlocksPerBase == 0) {
      absl::Status status =
          CheckBase(record_.bases_at + base * sizeof(BlockBase),
                    level_.bases[base], block_at_);
      if (!status.ok()) return status;
    }
    const uint64_t offset = level_.bases[base].data + level_.directory[index];
    if (offset != block_at_ ||
        record_.blocks_size - offset < kBlockHeaderBytes) {
      return BrokenNgramFile(record_.directory_at + index * 4,
                             "offset of a block", block_at_, offset);
    }
    const uint8_t* block = level_.blocks + offset;
    const uint8_t* end = level_.blocks + record_.blocks_size;
    const auto singles = LoadUnaligned<uint64_t>(block);
    const uint64_t first =
        level_.bases[base].child + LoadUnaligned<uint32_t>(block + 8);
    if (first != children_) {
      return BrokenNgramFile(OffsetOf(block) + 8, "first child of a block",
                             children_, first);
    }
    if (used < kBlockContexts && singles >> used != 0) {
      return BrokenNgramFile(OffsetOf(block), "contexts of the last block",
                             used, BitWidth(singles));
    }
    const BlockLarges larges(block + kBlockHeaderBytes, block[13]);
    const int single_count = std::popcount(singles);
    const int marks_count = kBlockContexts - single_count;
    const uint8_t* marks = larges.at + BlockLarges::Bytes(block[13]);
    if (end - block < marks - block + marks_count) {
      return BrokenNgramFile(OffsetOf(block) + 13, "large contexts of a block",
                             "fewer", larges.count);
    }
    if (larges.count > 0 && larges.FirstIndex() != next_large_) {
      return BrokenNgramFile(OffsetOf(larges.at), "first large context",
                             next_large_, larges.FirstIndex());
    }
    const int rank_bits = block[12] & 31;
    const int count_bits = kSingleCountBits[block[12] >> 5];
    const int single_bits = rank_bits + count_bits;
    const uint8_t* single_fields = marks + marks_count;
    const uint8_t* small_fields =
        single_fields + (single_count * single_bits + 7) / 8;
    uint64_t small_bits = 0;
    for (int i = 0; i < marks_count; ++i) {
      const uint32_t size = marks[i] & 15;
      if (size != kLargeMark) {
        small_bits += uint64_t{size} * level_.child_bits[marks[i] >> 4];
      }
    }
    if (end - small_fields < static_cast<ptrdiff_t>((small_bits + 7) / 8)) {
      return BrokenNgramFile(OffsetOf(marks), "bits of a block",
                             (end - small_fields) * 8, small_bits);
    }
    block_at_ = small_fields + (small_bits + 7) / 8 - level_.blocks;

    uint64_t single = 0;
    int mark = 0;
    uint32_t large = 0;
    uint64_t bit = 0, large_children = 0;
    for (int slot = 0; slot < kBlockContexts; ++slot) {
      if (singles >> slot & 1) {
        const uint64_t rank =
            ReadBits(single_fields, single * single_bits, rank_bits);
        absl::Status status = CheckNextRank(single_fields, 0, rank);
        if (!status.ok()) return status;
        ++single;
        ++children_;
        continue;
      }
      const uint8_t* at = marks + mark++;
      const uint32_t size = *at & 15;
      if (slot >= used && size > 0) {
        return BrokenNgramFile(OffsetOf(at), "context after the last", 0, size);
      }
      if (size == kLargeMark) {
        const uint64_t before = children_;
        if (large == larges.count) {
          return BrokenNgramFile(OffsetOf(block) + 13,
                                 "large contexts of a block", large + 1,
                                 larges.count);
        }
        if (absl::Status status = CheckLarge(); !status.ok()) return status;
        large_children += children_ - before;
        if (larges.Children(large + 1) != large_children) {
          return BrokenNgramFile(OffsetOf(larges.at),
                                 "children of large contexts", large_children,
                                 larges.Children(large + 1));
        }
        ++large;
        continue;
      }
      const int widths = *at >> 4;
      for (uint32_t i = 0; i < size; ++i) {
        const int width = level_.rank_bits[widths];
        absl::Status status = CheckNextRank(
            small_fields, i,
            ReadBits(small_fields, bit + uint64_t{i} * width, width));
        if (!status.ok()) return status;
      }
      bit += uint64_t{size} * level_.child_bits[widths];
      children_ += size;
    }
    if (large != larges.count) {
      return BrokenNgramFile(OffsetOf(block) + 13, "large contexts of a block",
                             large, larges.count);
    }
    return absl::OkStatus();
  }

  // Checks the next large context.
  absl::Status CheckLarge() {
    const uint64_t index = next_large_++;
    if (index >= level_.large_count) {
      return BrokenNgramFile(record_.larges_at, "large contexts",
                             absl::StrCat("more than ", index),
                             level_.large_count);
    }
    const uint64_t base = index / kLargesPerBase;
    if (index % kLargesPerBase == 0) {
      // Bitmaps are aligned.
      const uint64_t data =
          (large_data_at_ + kCellBytes - 1) / kCellBytes * kCellBytes;
      absl::Status status =
          CheckBase(record_.large_bases_at + base * sizeof(BlockBase),
                    level_.large_bases[base], data);
      if (!status.ok()) return status;
    }
    const LargeContext& large = level_.larges[index];
    const uint64_t entry = record_.larges_at + index * sizeof(LargeContext);
    if (level_.LargeFirstChild(level_.larges[index], index) != children_) {
      return BrokenNgramFile(
          entry, "first child of a large context", children_,
          level_.LargeFirstChild(level_.larges[index], index));
    }
    if (large.size == 0 || large.list() == RankList::kEmpty) {
      if (large.size != 0 || large.list() != RankList::kEmpty ||
          large.inverse != 0 || large.leftover != 1) {
        return BrokenNgramFile(entry + 16, "context without children",
                               "all fields 0 but the leftover of 1",
                               large.size);
      }
      return absl::OkStatus();
    }
    const uint64_t begin =
        level_.large_bases[base].data + uint64_t{large.data} * 4;
    if (begin < large_data_at_ || begin > record_.large_data_size ||
        record_.large_data_size - begin < large.counts_at()) {
      return BrokenNgramFile(
          entry + 4, "offset of the data",
          absl::StrCat(large_data_at_, " to ", record_.large_data_size), begin);
    }
    const uint8_t* data = level_.large_data + begin;
    absl::Status status = CheckList(entry, large, data);
    if (!status.ok()) return status;
    status = CheckCounts(entry, large, data);
    if (!status.ok()) return status;
    children_ += large.size;
    return absl::OkStatus();
  }

  absl::Status CheckList(uint64_t entry, const LargeContext& large,
                         const uint8_t* data) {
    switch (large.list()) {
      case RankList::kShort:
        if (large.size > kGroupCounts || large.counts_at() != 2 * large.size) {
          return BrokenNgramFile(entry + 20, "bytes of the ranks",
                                 2 * large.size, large.counts_at());
        }
        for (uint32_t i = 0; i < large.size; ++i) {
          const uint8_t* at = data + size_t{2} * i;
          absl::Status status =
              CheckNextRank(at, i, LoadUnaligned<uint16_t>(at));
          if (!status.ok()) return status;
        }
        return absl::OkStatus();
      case RankList::kBitmap:
        return CheckBitmap(entry, large, data);
      case RankList::kFano8:
      case RankList::kFano16:
        return CheckFano(entry, large, data);
      default:
        return BrokenNgramFile(entry + 20, "kind of the ranks", "1 to 4",
                               static_cast<uint32_t>(large.list()));
    }
  }

  absl::Status CheckBitmap(uint64_t entry, const LargeContext& large,
                           const uint8_t* data) {
    const uint32_t cells = large.counts_at() / kCellBytes;
    if (large.counts_at() % kCellBytes != 0) {
      return BrokenNgramFile(entry + 20, "bytes of the ranks",
                             "a multiple of 32", large.counts_at());
    }
    uint32_t before = 0;
    for (uint32_t cell = 0; cell < cells; ++cell) {
      const uint8_t* at = data + size_t{cell} * kCellBytes;
      if (LoadUnaligned<uint32_t>(at) != before) {
        return BrokenNgramFile(OffsetOf(at), "ranks before a cell", before,
                               LoadUnaligned<uint32_t>(at));
      }
      for (uint32_t bit = 0; bit < kCellRanks; bit += 32) {
        auto bits = LoadUnaligned<uint32_t>(at + 4 + bit / 8);
        before += std::popcount(bits);
        if (!first_order_) continue;
        for (; bits != 0; bits &= bits - 1) {
          absl::Status status = CheckRank(
              at, uint64_t{cell} * kCellRanks + bit + std::countr_zero(bits));
          if (!status.ok()) return status;
        }
      }
    }
    if (before != large.size) {
      return BrokenNgramFile(OffsetOf(data), "ranks in a bitmap", large.size,
                             before);
    }
    return absl::OkStatus();
  }

  absl::Status CheckFano(uint64_t entry, const LargeContext& large,
                         const uint8_t* data) {
    const auto buckets = LoadUnaligned<uint32_t>(data);
    const int low_bytes = large.list() == RankList::kFano8 ? 1 : 2;
    const uint64_t upper_bits = uint64_t{large.size} + buckets;
    const uint64_t bytes =
        4 + (uint64_t{buckets} - 1) / FanoList::kSampled * 4 +
        (upper_bits + 63) / 64 * 8 + uint64_t{large.size} * low_bytes;
    if (large.counts_at() < 4 || buckets == 0 || upper_bits > kNoRank ||
        (bytes + 1) / 2 * 2 != large.counts_at()) {
      return BrokenNgramFile(entry + 20, "bytes of the ranks", bytes,
                             large.counts_at());
    }
    const FanoList list(large, data);
    uint32_t i = 0, bucket = 0;
    for (uint64_t bit = 0; bit < upper_bits; ++bit) {
      if (list.upper[bit / 8] >> bit % 8 & 1) {
        if (i == large.size || bucket == buckets) break;
        const uint64_t rank = uint64_t{bucket} << list.low_bits | list.Low(i);
        absl::Status status = CheckNextRank(list.upper + bit / 8, i, rank);
        if (!status.ok()) return status;
        ++i;
        continue;
      }
      ++bucket;
      if (bucket % FanoList::kSampled == 0 && bucket < buckets &&
          list.Sample(bucket / FanoList::kSampled - 1) != bit + 1) {
        return BrokenNgramFile(OffsetOf(data), "sample of a list", bit + 1,
                               list.Sample(bucket / FanoList::kSampled - 1));
      }
    }
    if (i != large.size || bucket != buckets) {
      return BrokenNgramFile(OffsetOf(list.upper), "ranks in a list",
                             large.size, i);
    }
    return absl::OkStatus();
  }

  absl::Status CheckCounts(uint64_t entry, const LargeContext& large,
                           const uint8_t* data) {
    const uint8_t* end = level_.large_data + record_.large_data_size;
    const uint8_t* counts = data + large.counts_at();
    const uint8_t* last;
    if (large.size <= kGroupCounts) {
      if (large.width() > kMaxFieldBits) {
        return BrokenNgramFile(entry + 20, "bits of a count",
                               absl::StrCat("at most ", kMaxFieldBits),
                               large.width());
      }
      last = counts + (large.size * large.width() + 7) / 8;
    } else {
      const CountGroups groups(large, data);
      if (large.width() > 1 ||
          end - groups.offsets < groups.fields - groups.offsets) {
        return BrokenNgramFile(entry + 20, "offsets of the counts",
                               "in the file", large.counts_at());
      }
      for (uint32_t i = 0; i <= groups.groups; ++i) {
        const uint32_t before = i == 0 ? 0 : groups.Offset(i - 1);
        const uint32_t most = i == 0 ? 0 : before + kMaxFieldBits;
        if (groups.Offset(i) < before || groups.Offset(i) > most) {
          return BrokenNgramFile(
              OffsetOf(groups.offsets), "offset of a group of counts",
              absl::StrCat(before, " to ", most), groups.Offset(i));
        }
      }
      if ((end - groups.fields) / 4 < groups.Offset(groups.groups - 1)) {
        return BrokenNgramFile(entry + 20, "counts", "in the file",
                               large.counts_at());
      }
      last = groups.fields + 4 * uint64_t{groups.Offset(groups.groups - 1)};
      const uint32_t width =
          groups.Offset(groups.groups) - groups.Offset(groups.groups - 1);
      const uint32_t fields = large.size - (groups.groups - 1) * kGroupCounts;
      last += size_t{4} * ((fields * width + 31) / 32);
    }
    const int position_bits = BitWidth(large.size - 1);
    const bool has_best = large.size > kListedChildren;
    const uint8_t* best = last;
    if (has_best) last += (kListedChildren * position_bits + 7) / 8;
    if (last > end) {
      return BrokenNgramFile(entry + 20, "counts", "in the file",
                             large.counts_at());
    }
    large_data_at_ = last - level_.large_data;

    CountSums sums;
    for (uint32_t i = 0; i < large.size; ++i) {
      sums.Add(FindLargeCount(large, data, i).Count());
    }
    const CountWeights weights = sums.Weights(level_.smoothing);
    if (large.inverse != static_cast<float>(weights.inverse) ||
        large.leftover != static_cast<float>(weights.leftover)) {
      return BrokenNgramFile(
          entry + 8, "weights of a context",
          absl::StrCat(weights.inverse, " and ", weights.leftover),
          absl::StrCat(large.inverse, " and ", large.leftover));
    }
    if (!has_best) return absl::OkStatus();
    std::vector<uint64_t> positions;
    for (uint32_t i = 0; i < kListedChildren; ++i) {
      positions.push_back(
          ReadBits(best, uint64_t{i} * position_bits, position_bits));
    }
    std::sort(positions.begin(), positions.end());
    if (positions.back() >= large.size ||
        std::adjacent_find(positions.begin(), positions.end()) !=
            positions.end()) {
      return BrokenNgramFile(
          OffsetOf(best), "likeliest children",
          absl::StrCat("different numbers below ", large.size),
          positions.back());
    }
    return absl::OkStatus();
  }

  const uint8_t* const file_;
  const RankLevel& level_;
  const RankLevelRecord& record_;
  const WordId begin_sentence_;
  const uint32_t ranks_;
  const bool first_order_;
  uint64_t children_ = 0;  // of the contexts so far
  uint64_t next_large_ = 0;
  uint64_t block_at_ = 0;       // where the next block must start
  uint64_t large_data_at_ = 0;  // where the next data may start
  uint64_t last_rank_ = 0;
};

absl::StatusOr<RankLevel> FindLevel(const Sections& sections,
                                    const RankLevelRecord& record,
                                    uint64_t offset, uint64_t contexts) {
  const auto field = [&](size_t member) { return offset + member; };
  RankLevel level = {};
  level.contexts = contexts;
  level.children = record.children;
  level.direct = record.direct;
  level.smoothing = record.smoothing;
  for (int i = 0; i < kFieldWidths; ++i) {
    if (record.rank_bits[i] > 32 || record.count_bits[i] > kMaxSmallCountBits) {
      return BrokenNgramFile(
          field(offsetof(RankLevelRecord, rank_bits)) + i,
          "bits of a rank and a count", "at most 32 and 12",
          absl::StrCat(record.rank_bits[i], " and ", record.count_bits[i]));
    }
  }
  level.SetWidths(record.rank_bits, record.count_bits);
  absl::Status status = CheckSmoothing(
      record.smoothing, field(offsetof(RankLevelRecord, smoothing)));
  if (!status.ok()) return status;
  if (record.direct > contexts || record.direct > record.larges) {
    return BrokenNgramFile(
        field(offsetof(RankLevelRecord, direct)), "contexts without blocks",
        absl::StrCat("at most ", std::min(contexts, record.larges)),
        record.direct);
  }
  const uint64_t blocks =
      (contexts - record.direct + kBlockContexts - 1) / kBlockContexts;
  const auto directory =
      sections.Find<uint32_t>(field(offsetof(RankLevelRecord, directory_at)),
                              "directory", record.directory_at, blocks);
  if (!directory.ok()) return directory.status();
  level.directory = *directory;
  const auto bases = sections.Find<BlockBase>(
      field(offsetof(RankLevelRecord, bases_at)), "bases", record.bases_at,
      (blocks + kBlocksPerBase - 1) / kBlocksPerBase);
  if (!bases.ok()) return bases.status();
  level.bases = *bases;
  const auto block_bytes =
      sections.Find<uint8_t>(field(offsetof(RankLevelRecord, blocks_at)),
                             "blocks", record.blocks_at, record.blocks_size);
  if (!block_bytes.ok()) return block_bytes.status();
  level.blocks = *block_bytes;
  const auto larges = sections.Find<LargeContext>(
      field(offsetof(RankLevelRecord, larges_at)), "large contexts",
      record.larges_at, record.larges);
  if (!larges.ok()) return larges.status();
  level.larges = *larges;
  level.large_count = record.larges;
  const auto large_bases = sections.Find<BlockBase>(
      field(offsetof(RankLevelRecord, large_bases_at)),
      "bases of the large contexts", record.large_bases_at,
      (record.larges + kLargesPerBase - 1) / kLargesPerBase);
  if (!large_bases.ok()) return large_bases.status();
  level.large_bases = *large_bases;
  const auto large_data = sections.Find<uint8_t>(
      field(offsetof(RankLevelRecord, large_data_at)), "large contexts' data",
      record.large_data_at, record.large_data_size);
  if (!large_data.ok()) return large_data.status();
  level.large_data = *large_data;
  return level;
}

}  // namespace

absl::Status CheckSmoothing(const CountSmoothing& smoothing, uint64_t offset) {
  for (int count = 0; count < 4; ++count) {
    const double discount = smoothing.discount[count];
    if (!(discount >= 0 && discount <= count)) {
      return BrokenNgramFile(offset + sizeof(discount) * count,
                             absl::StrCat("discount for a count of ", count),
                             absl::StrCat("0 to ", count), discount);
    }
  }
  if (!(smoothing.types_weight >= 0 && smoothing.types_weight <= 1e6)) {
    return BrokenNgramFile(offset + 32, "weight of the types", "0 to 1e6",
                           smoothing.types_weight);
  }
  return absl::OkStatus();
}

absl::StatusOr<RankLevel> ParseRankLevel(absl::string_view file,
                                         const RankLevelRecord& record,
                                         const LevelPlace& place) {
  absl::StatusOr<RankLevel> level =
      FindLevel(Sections(file), record, place.record_at, place.contexts);
  if (!level.ok()) return level.status();
  const absl::Status status = LevelCheck(file, *level, record, place).Run();
  if (!status.ok()) return status;
  return level;
}

}  // namespace lmserve
