// SPDX-License-Identifier: Apache-2.0
#include "models/ngram/count_level_builder.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <numeric>
#include <utility>

#include "models/ngram/large_context.h"

namespace lmserve {
namespace {

// Contexts of more children than this are bitmaps at order 1, where most
// look-ups are: a bitmap is found in one cell.
constexpr uint32_t kBitmapChildren = 1'024;

struct Needs {
  int rank_bits = 0, count_bits = 0;
  bool large = false;
};

// Returns what the fields of a context need, and whether that makes it large.
Needs FindNeeds(const CountedContext& context) {
  Needs needs;
  needs.large = context.children.size() > kMaxSmallChildren;
  if (needs.large || context.children.empty()) return needs;
  needs.rank_bits = BitWidth(context.children.back().rank);
  uint64_t count = 1;
  for (const CountedContext::Child& child : context.children) {
    count = std::max(count, child.count);
  }
  needs.count_bits = BitWidth(count - 1);
  needs.large = needs.count_bits > kMaxSmallCountBits;
  return needs;
}

CountWeights WeightsOf(const CountedContext& context,
                       const CountSmoothing& smoothing) {
  CountSums sums;
  for (const CountedContext::Child& child : context.children) {
    sums.Add(child.count);
  }
  return sums.Weights(smoothing);
}

}  // namespace

void CountLevelSurvey::Add(const CountedContext& context) {
  const Needs needs = FindNeeds(context);
  ++contexts_;
  if (!direct_ended_) {
    larges_in_block_ += needs.large;
    if (contexts_ % kBlockContexts == 0) {
      if (larges_in_block_ * 4 >= kBlockContexts * 3) {
        direct_ = contexts_;
      } else {
        direct_ended_ = true;
      }
      larges_in_block_ = 0;
    }
  }
  // The contexts with one child mostly use the widths of their block.
  if (needs.large || context.children.size() < 2) return;
  children_[needs.rank_bits][needs.count_bits] += context.children.size();
}

CountLevelSurvey::Widths CountLevelSurvey::ChooseWidths() const {
  struct Cell {
    int rank_bits, count_bits;
    uint64_t children;
    int bits;  // of the best pair so far
  };
  std::vector<Cell> cells;
  for (int r = 0; r <= kMaxRankBits; ++r) {
    for (int c = 0; c <= kMaxSmallCountBits; ++c) {
      if (children_[r][c] == 0) continue;
      cells.push_back(
          {r, c, children_[r][c], kMaxRankBits + kMaxSmallCountBits});
    }
  }
  Widths widths;
  widths.rank_bits.fill(kMaxRankBits);
  widths.count_bits.fill(kMaxSmallCountBits);
  for (int i = 1; i < kFieldWidths; ++i) {
    uint64_t most = 0;
    for (int r = 0; r <= kMaxRankBits; ++r) {
      for (int c = 0; c <= kMaxSmallCountBits; ++c) {
        uint64_t saved = 0;
        for (const Cell& cell : cells) {
          if (cell.rank_bits <= r && cell.count_bits <= c &&
              cell.bits > r + c) {
            saved += cell.children * (cell.bits - r - c);
          }
        }
        if (saved <= most) continue;
        most = saved;
        widths.rank_bits[i] = r;
        widths.count_bits[i] = c;
      }
    }
    if (most == 0) break;
    for (Cell& cell : cells) {
      if (cell.rank_bits <= widths.rank_bits[i] &&
          cell.count_bits <= widths.count_bits[i]) {
        cell.bits =
            std::min(cell.bits, widths.rank_bits[i] + widths.count_bits[i]);
      }
    }
  }
  return widths;
}

CountLevel BuiltCountLevel::View() const {
  CountLevel view;
  view.contexts = contexts;
  view.children = children;
  view.direct = direct;
  view.directory = directory.data();
  view.bases = bases.data();
  view.blocks = reinterpret_cast<const uint8_t*>(blocks.data());
  view.larges = larges.data();
  view.large_bases = large_bases.data();
  view.large_data = reinterpret_cast<const uint8_t*>(large_data.data());
  view.large_count = larges.size();
  view.smoothing = smoothing;
  view.SetWidths(widths.rank_bits, widths.count_bits);
  return view;
}

CountLevelBuilder::CountLevelBuilder(int order, const CountLevelSurvey& survey,
                                     const CountSmoothing& smoothing,
                                     LowerProbabilities lower)
    : order_(order), lower_(std::move(lower)) {
  level_.direct = survey.direct();
  level_.smoothing = smoothing;
  level_.widths = survey.ChooseWidths();
  for (int r = 0; r < static_cast<int>(best_widths_.size()); ++r) {
    for (int c = 0; c <= kMaxSmallCountBits; ++c) {
      best_widths_[r][c] = FindWidths(r, c);
    }
  }
}

int CountLevelBuilder::FindWidths(int rank_bits, int count_bits) const {
  const CountLevelSurvey::Widths& widths = level_.widths;
  int best = 0;
  for (int i = 1; i < kFieldWidths; ++i) {
    if (widths.rank_bits[i] >= rank_bits &&
        widths.count_bits[i] >= count_bits &&
        widths.rank_bits[i] + widths.count_bits[i] <
            widths.rank_bits[best] + widths.count_bits[best]) {
      best = i;
    }
  }
  return best;
}

void CountLevelBuilder::Add(const CountedContext& context) {
  const bool direct = level_.contexts++ < level_.direct;
  const Needs needs = FindNeeds(context);
  if (direct || needs.large) AddLarge(context);
  const uint64_t first_child = level_.children;
  level_.children += context.children.size();
  if (direct) return;
  if (pending_.empty()) block_first_child_ = first_child;
  pending_.push_back({static_cast<uint32_t>(context.children.size()),
                      static_cast<uint32_t>(children_.size()), needs.rank_bits,
                      needs.count_bits, needs.large});
  if (!needs.large) {
    children_.insert(children_.end(), context.children.begin(),
                     context.children.end());
  }
  if (pending_.size() == kBlockContexts) WriteBlock();
}

CountLevelBuilder::SingleWidths CountLevelBuilder::ChooseSingleWidths() const {
  constexpr int kCodes = kSingleCountBits.size();
  // The block's contexts with one child, by what they need.
  std::array<std::array<uint32_t, kCodes>, 33> singles = {};
  int most_bits = 0;
  for (const Pending& context : pending_) {
    if (context.large || context.size != 1) continue;
    int code = 0;
    while (kSingleCountBits[code] < context.count_bits) ++code;
    ++singles[context.rank_bits][code];
    most_bits = std::max(most_bits, context.rank_bits);
  }
  uint64_t fewest = std::numeric_limits<uint64_t>::max();
  SingleWidths best = {0, 0};
  for (int rank_bits = 0; rank_bits <= std::min(most_bits, 31); ++rank_bits) {
    for (int code = 0; code < kCodes; ++code) {
      uint64_t bits = 0;
      for (int r = 0; r <= most_bits; ++r) {
        for (int c = 0; c < kCodes; ++c) {
          // One that needs more becomes a small context, with a mark.
          const int field = r <= rank_bits && c <= code
                                ? rank_bits + kSingleCountBits[code]
                                : 16 + r + kSingleCountBits[c];
          bits += uint64_t{singles[r][c]} * field;
        }
      }
      if (bits >= fewest) continue;
      fewest = bits;
      best = {rank_bits, code};
    }
  }
  return best;
}

void CountLevelBuilder::WriteBlock() {
  const auto [rank_bits, code] = ChooseSingleWidths();
  const int count_bits = kSingleCountBits[code];

  uint64_t mask = 0;
  std::string marks;
  std::vector<uint32_t> large_sums;
  BitWriter single_fields, small_fields;
  uint32_t large_children = 0;
  for (size_t slot = 0; slot < pending_.size(); ++slot) {
    const Pending& context = pending_[slot];
    const uint32_t size = context.size;
    if (context.large) {
      marks.push_back(static_cast<char>(kLargeMark));
      large_children += size;
      large_sums.push_back(large_children);
      continue;
    }
    if (size == 1 && context.rank_bits <= rank_bits &&
        context.count_bits <= count_bits) {
      const CountedContext::Child& child = children_[context.first];
      mask |= uint64_t{1} << slot;
      single_fields.Append(child.rank, rank_bits);
      single_fields.Append(child.count - 1, count_bits);
      continue;
    }
    const int widths = best_widths_[context.rank_bits][context.count_bits];
    marks.push_back(static_cast<char>(size | widths << 4));
    const auto children =
        absl::MakeConstSpan(children_).subspan(context.first, size);
    for (const CountedContext::Child& child : children) {
      small_fields.Append(child.rank, level_.widths.rank_bits[widths]);
    }
    for (const CountedContext::Child& child : children) {
      small_fields.Append(child.count - 1, level_.widths.count_bits[widths]);
    }
  }
  for (size_t slot = pending_.size(); slot < kBlockContexts; ++slot) {
    marks.push_back(0);
  }
  single_fields.FinishByte();
  small_fields.FinishByte();

  const uint64_t index = level_.directory.size();
  if (index % kBlocksPerBase == 0) {
    level_.bases.push_back({block_first_child_, level_.blocks.size()});
  }
  const uint64_t offset = level_.blocks.size() - level_.bases.back().data;
  const uint64_t first = block_first_child_ - level_.bases.back().child;
  constexpr uint64_t kMax = std::numeric_limits<uint32_t>::max();
  overflow_ = overflow_ || offset > kMax || first > kMax;
  level_.directory.push_back(static_cast<uint32_t>(offset));
  const bool wide = large_children > std::numeric_limits<uint16_t>::max();
  const BlockHeader header = {
      mask, static_cast<uint32_t>(first),
      static_cast<uint8_t>(rank_bits | code << 5),
      static_cast<uint8_t>(large_sums.size() | (wide ? 128 : 0))};
  level_.blocks.append(reinterpret_cast<const char*>(&header),
                       kBlockHeaderBytes);
  if (!large_sums.empty()) {
    const auto first_large =
        static_cast<uint32_t>(level_.larges.size() - large_sums.size());
    level_.blocks.append(reinterpret_cast<const char*>(&first_large), 4);
    for (uint32_t sum : large_sums) {
      level_.blocks.append(reinterpret_cast<const char*>(&sum), wide ? 4 : 2);
    }
  }
  level_.blocks.append(marks);
  level_.blocks.append(single_fields.bytes());
  level_.blocks.append(small_fields.bytes());
  pending_.clear();
  children_.clear();
}

void CountLevelBuilder::Align(size_t bytes) {
  while (level_.large_data.size() % bytes != 0) level_.large_data.push_back(0);
}

template <typename T>
void CountLevelBuilder::AppendData(T value) {
  level_.large_data.append(reinterpret_cast<const char*>(&value), sizeof(T));
}

void CountLevelBuilder::AddLarge(const CountedContext& context) {
  if (level_.larges.size() % kLargesPerBase == 0) {
    Align(kCellBytes);
    level_.large_bases.push_back({level_.children, level_.large_data.size()});
  }
  const BlockBase& base = level_.large_bases.back();
  LargeContext large = {};
  const CountWeights weights = WeightsOf(context, level_.smoothing);
  large.inverse = static_cast<float>(weights.inverse);
  large.leftover = static_cast<float>(weights.leftover);
  large.size = static_cast<uint32_t>(context.children.size());
  large.first_child = static_cast<uint32_t>(level_.children - base.child);
  overflow_ = overflow_ || level_.children - base.child > 0xFFFFFFFF;
  if (!context.children.empty()) {
    const RankList list = ChooseList(context);
    Align(list == RankList::kBitmap ? kCellBytes : 4);
    const uint64_t begin = level_.large_data.size();
    const uint64_t offset = (begin - base.data) / 4;
    switch (list) {
      case RankList::kEmpty:
        break;
      case RankList::kBitmap:
        AppendBitmap(context);
        break;
      case RankList::kShort:
        for (const CountedContext::Child& child : context.children) {
          AppendData(static_cast<uint16_t>(child.rank));
        }
        break;
      case RankList::kFano8:
        AppendFano(context, 8);
        break;
      case RankList::kFano16:
        AppendFano(context, 16);
        break;
    }
    Align(2);
    const uint64_t counts_at = level_.large_data.size() - begin;
    overflow_ = overflow_ || offset > 0xFFFFFFFF ||
                counts_at > LargeContext::kMaxCountsAt;
    large.data = static_cast<uint32_t>(offset);
    const uint32_t width = AppendCounts(context);
    if (overflow_) return;
    large.packed = LargeContext::Pack(list, width, counts_at);
    if (large.size > kListedChildren) AppendBest(context, large);
  }
  level_.larges.push_back(large);
}

namespace {

uint32_t FanoBuckets(uint32_t range, int low_bits) {
  return ((range - 1) >> low_bits) + 1;
}

uint64_t FanoBytes(uint32_t size, uint32_t range, int low_bits) {
  const uint32_t buckets = FanoBuckets(range, low_bits);
  return 4 + uint64_t{FanoList::SampleBytes(buckets)} +
         FanoList::UpperBytes(size, buckets) + uint64_t{size} * (low_bits / 8);
}

uint64_t Cells(uint32_t range) {
  return (uint64_t{range} + kCellRanks - 1) / kCellRanks;
}

}  // namespace

RankList CountLevelBuilder::ChooseList(const CountedContext& context) const {
  const auto size = static_cast<uint32_t>(context.children.size());
  const uint32_t range = context.suffix_children;
  const uint64_t bitmap = Cells(range) * kCellBytes;
  const uint64_t fano8 = FanoBytes(size, range, 8);
  const uint64_t fano16 = FanoBytes(size, range, 16);
  const uint64_t fano = std::min(fano8, fano16);
  const bool is_short =
      size <= kGroupCounts && range <= 65'536 && 2 * size <= fano + fano / 4;
  const uint64_t list = is_short ? 2 * size : fano;
  // A bitmap is found faster than a list, so it may be larger.
  const bool is_bitmap = order_ == 1 ? size >= kBitmapChildren || bitmap <= list
                                     : bitmap * 4 <= list * 5;
  if (is_bitmap) return RankList::kBitmap;
  if (is_short) return RankList::kShort;
  return fano8 <= fano16 ? RankList::kFano8 : RankList::kFano16;
}

void CountLevelBuilder::AppendBitmap(const CountedContext& context) {
  std::string& data = level_.large_data;
  const uint64_t cells = Cells(context.suffix_children);
  const size_t begin = data.size();
  data.resize(begin + cells * kCellBytes);
  char* cell = data.data() + begin;
  uint32_t next = 0;
  for (uint64_t i = 0; i < cells; ++i, cell += kCellBytes) {
    std::memcpy(cell, &next, sizeof(next));
    for (; next < context.children.size() &&
           context.children[next].rank < (i + 1) * kCellRanks;
         ++next) {
      const uint32_t bit = 32 + context.children[next].rank % kCellRanks;
      cell[bit / 8] |= static_cast<char>(1 << bit % 8);
    }
  }
}

void CountLevelBuilder::AppendFano(const CountedContext& context,
                                   int low_bits) {
  std::string& data = level_.large_data;
  const auto size = static_cast<uint32_t>(context.children.size());
  const uint32_t buckets = FanoBuckets(context.suffix_children, low_bits);
  AppendData(buckets);
  const size_t samples = data.size();
  const size_t upper = samples + FanoList::SampleBytes(buckets);
  data.resize(upper + FanoList::UpperBytes(size, buckets));
  uint32_t bit = 0, bucket = 0;
  const auto end_bucket = [&] {
    ++bit;
    if (++bucket % FanoList::kSampled != 0) return;
    std::memcpy(&data[samples + (bucket / FanoList::kSampled - 1) * 4], &bit,
                sizeof(bit));
  };
  for (const CountedContext::Child& child : context.children) {
    while (bucket < child.rank >> low_bits) end_bucket();
    data[upper + bit / 8] |= static_cast<char>(1 << bit % 8);
    ++bit;
  }
  while (bucket + 1 < buckets) end_bucket();
  for (const CountedContext::Child& child : context.children) {
    if (low_bits == 8) {
      AppendData(static_cast<uint8_t>(child.rank));
    } else {
      AppendData(static_cast<uint16_t>(child.rank));
    }
  }
}

uint32_t CountLevelBuilder::AppendCounts(const CountedContext& context) {
  const absl::Span<const CountedContext::Child> children = context.children;
  const auto width_of = [](absl::Span<const CountedContext::Child> group) {
    uint64_t most = 1;
    for (const CountedContext::Child& child : group) {
      most = std::max(most, child.count);
    }
    return BitWidth(most - 1);
  };
  BitWriter fields;
  if (children.size() <= kGroupCounts) {
    const int width = width_of(children);
    overflow_ = overflow_ || width > kMaxFieldBits;
    if (overflow_) return 0;
    for (const CountedContext::Child& child : children) {
      fields.Append(child.count - 1, width);
    }
    fields.FinishByte();
    level_.large_data += fields.bytes();
    return width;
  }
  std::vector<uint32_t> offsets = {0};
  for (size_t begin = 0; begin < children.size(); begin += kGroupCounts) {
    const auto group = children.subspan(begin, kGroupCounts);
    const int width = width_of(group);
    overflow_ = overflow_ || width > kMaxFieldBits;
    if (overflow_) return 0;
    for (const CountedContext::Child& child : group) {
      fields.Append(child.count - 1, width);
    }
    offsets.push_back(offsets.back() + width);
  }
  // The last group ends at a multiple of 4 bytes, as the others do.
  fields.FinishByte();
  std::string bytes = fields.bytes();
  bytes.resize((bytes.size() + 3) / 4 * 4);
  const bool wide = offsets.back() > std::numeric_limits<uint16_t>::max();
  for (uint32_t offset : offsets) {
    if (wide) {
      AppendData(offset);
    } else {
      AppendData(static_cast<uint16_t>(offset));
    }
  }
  level_.large_data += bytes;
  return wide;
}

void CountLevelBuilder::AppendBest(const CountedContext& context,
                                   const LargeContext& large) {
  std::vector<double> probabilities(large.size);
  lower_(context, absl::MakeSpan(probabilities));
  for (uint32_t i = 0; i < large.size; ++i) {
    probabilities[i] =
        large.leftover * probabilities[i] +
        level_.smoothing.Discounted(context.children[i].count) * large.inverse;
  }
  std::vector<uint32_t> order(large.size);
  std::iota(order.begin(), order.end(), 0u);
  std::partial_sort(order.begin(), order.begin() + kListedChildren, order.end(),
                    [&](uint32_t a, uint32_t b) {
                      if (probabilities[a] != probabilities[b]) {
                        return probabilities[a] > probabilities[b];
                      }
                      return a < b;
                    });
  BitWriter list;
  const int width = BitWidth(large.size - 1);
  for (uint32_t i = 0; i < kListedChildren; ++i) list.Append(order[i], width);
  list.FinishByte();
  level_.large_data += list.bytes();
  level_.suffixes.emplace(level_.contexts - 1, context.suffix);
}

absl::StatusOr<BuiltCountLevel> CountLevelBuilder::Finish() {
  if (!pending_.empty()) WriteBlock();
  level_.blocks.append(kSectionPadding, 0);
  level_.large_data.append(kSectionPadding, 0);
  if (overflow_) {
    return absl::ResourceExhaustedError(
        "the counts are too large for the compact layout");
  }
  return std::move(level_);
}

}  // namespace lmserve
