// SPDX-License-Identifier: Apache-2.0
#include "models/ngram/compact/rank_level_builder.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <numeric>
#include <utility>

#include "models/ngram/compact/large_context.h"

namespace lmserve {
namespace {

// Contexts of at least this many children are bitmaps at order 1, where most
// look-ups are: a bitmap is found in one cell. But not if the vocabulary is so
// large that the bitmap takes more than this many times the bytes of a list.
constexpr uint32_t kBitmapChildren = 1'024;
constexpr uint64_t kBitmapBytes = 5;

CountWeights WeightsOf(const CountedContext& context,
                       const CountSmoothing& smoothing) {
  CountSums sums;
  for (const CountedContext::Child& child : context.children) {
    sums.Add(child.count);
  }
  return sums.Weights(smoothing);
}

}  // namespace

namespace {

template <typename T>
const T* Values(absl::string_view bytes) {
  return reinterpret_cast<const T*>(bytes.data());
}

}  // namespace

RankLevel BuiltRankLevel::View() const {
  RankLevel view;
  view.contexts = contexts;
  view.children = children;
  view.direct = plan.direct;
  view.directory = Values<uint32_t>(bytes(LevelSection::kDirectory));
  view.bases = Values<BlockBase>(bytes(LevelSection::kBases));
  view.blocks = Values<uint8_t>(bytes(LevelSection::kBlocks));
  view.larges = Values<LargeContext>(bytes(LevelSection::kLarges));
  view.large_bases = Values<BlockBase>(bytes(LevelSection::kLargeBases));
  view.large_data = Values<uint8_t>(bytes(LevelSection::kLargeData));
  view.large_count = bytes(LevelSection::kLarges).size() / sizeof(LargeContext);
  view.smoothing = smoothing;
  view.SetWidths(plan.rank_bits, plan.count_bits);
  return view;
}

absl::Span<const ListedContext> BuiltRankLevel::listed() const {
  const absl::string_view section = bytes(LevelSection::kListed);
  return {Values<ListedContext>(section),
          section.size() / sizeof(ListedContext)};
}

RankLevelRecord RecordOf(const BuiltRankLevel& level,
                         absl::FunctionRef<uint64_t(absl::string_view)> add) {
  std::array<uint64_t, kLevelSections> offsets = {};
  for (LevelSection section : kFileSections) {
    offsets[static_cast<int>(section)] = add(level.bytes(section));
  }
  const auto offset = [&offsets](LevelSection section) {
    return offsets[static_cast<int>(section)];
  };
  RankLevelRecord record = {};
  record.children = level.children;
  record.direct = level.plan.direct;
  record.directory_at = offset(LevelSection::kDirectory);
  record.bases_at = offset(LevelSection::kBases);
  record.blocks_at = offset(LevelSection::kBlocks);
  record.blocks_size = level.bytes(LevelSection::kBlocks).size();
  record.larges_at = offset(LevelSection::kLarges);
  record.larges =
      level.bytes(LevelSection::kLarges).size() / sizeof(LargeContext);
  record.large_bases_at = offset(LevelSection::kLargeBases);
  record.large_data_at = offset(LevelSection::kLargeData);
  record.large_data_size = level.bytes(LevelSection::kLargeData).size();
  record.smoothing = level.smoothing;
  record.rank_bits = level.plan.rank_bits;
  record.count_bits = level.plan.count_bits;
  return record;
}

RankLevelBuilder::RankLevelBuilder(int order, const RankLevelPlan& plan,
                                   const CountSmoothing& smoothing,
                                   const LowerOrders& lower,
                                   std::unique_ptr<LevelSections> sections)
    : order_(order), lower_(lower) {
  level_.plan = plan;
  level_.smoothing = smoothing;
  level_.sections = std::move(sections);
  for (int r = 0; r < static_cast<int>(best_widths_.size()); ++r) {
    for (int c = 0; c <= kMaxSmallCountBits; ++c) {
      best_widths_[r][c] = FindWidths(r, c);
    }
  }
}

int RankLevelBuilder::FindWidths(int rank_bits, int count_bits) const {
  const RankLevelPlan& plan = level_.plan;
  int best = 0;
  for (int i = 1; i < kFieldWidths; ++i) {
    if (plan.rank_bits[i] >= rank_bits && plan.count_bits[i] >= count_bits &&
        plan.rank_bits[i] + plan.count_bits[i] <
            plan.rank_bits[best] + plan.count_bits[best]) {
      best = i;
    }
  }
  return best;
}

void RankLevelBuilder::Add(const CountedContext& context) {
  const bool direct = level_.contexts++ < level_.plan.direct;
  const FieldNeeds needs(context);
  if (direct || needs.large) AddLarge(context);
  const uint64_t first_child = level_.children;
  level_.children += context.children.size();
  if (direct) return;
  if (pending_.empty()) first_child_ = first_child;
  pending_.push_back({static_cast<uint32_t>(context.children.size()),
                      static_cast<uint32_t>(children_.size()), needs.rank_bits,
                      needs.count_bits, needs.large});
  if (!needs.large) {
    children_.insert(children_.end(), context.children.begin(),
                     context.children.end());
  }
  if (pending_.size() == kBlockContexts) WriteBlock();
}

RankLevelBuilder::SingleWidths RankLevelBuilder::ChooseSingleWidths() const {
  constexpr int kCodes = kSingleCountBits.size();
  // One that needs more than the widths becomes a small context, with a mark.
  constexpr uint32_t kMarkBits = 16;
  // The block's contexts with one child, by what they need.
  std::array<std::array<uint32_t, kCodes>, 33> singles = {};
  int most_bits = 0;
  uint32_t marked_bits = 0;  // of those that need more; all at first
  for (const Pending& context : pending_) {
    if (context.large || context.size != 1) continue;
    int code = 0;
    while (kSingleCountBits[code] < context.count_bits) ++code;
    ++singles[context.rank_bits][code];
    most_bits = std::max(most_bits, context.rank_bits);
    marked_bits += kMarkBits + context.rank_bits + kSingleCountBits[code];
  }
  uint32_t fewest = std::numeric_limits<uint32_t>::max();
  SingleWidths best = {0, 0};
  // Of the contexts with at most these rank bits, by the code.
  std::array<uint32_t, kCodes> number = {}, saved = {};
  for (int rank_bits = 0; rank_bits <= std::min(most_bits, 31); ++rank_bits) {
    uint32_t fitting = 0, saved_bits = 0;
    for (int code = 0; code < kCodes; ++code) {
      const uint32_t more = singles[rank_bits][code];
      number[code] += more;
      saved[code] += more * (kMarkBits + rank_bits + kSingleCountBits[code]);
      fitting += number[code];
      saved_bits += saved[code];
      const uint32_t bits = marked_bits - saved_bits +
                            fitting * (rank_bits + kSingleCountBits[code]);
      if (bits >= fewest) continue;
      fewest = bits;
      best = {rank_bits, code};
    }
  }
  return best;
}

uint64_t RankLevelBuilder::AppendFields(int rank_bits, int count_bits) {
  const RankLevelPlan& plan = level_.plan;
  uint64_t mask = 0;
  uint32_t large_children = 0;
  for (size_t slot = 0; slot < pending_.size(); ++slot) {
    const Pending& context = pending_[slot];
    const uint32_t size = context.size;
    if (context.large) {
      marks_.push_back(static_cast<char>(kLargeMark));
      large_children += size;
      large_sums_.push_back(large_children);
      continue;
    }
    if (size == 1 && context.rank_bits <= rank_bits &&
        context.count_bits <= count_bits) {
      const CountedContext::Child& child = children_[context.first];
      mask |= uint64_t{1} << slot;
      singles_.Append(child.rank, rank_bits);
      singles_.Append(child.count - 1, count_bits);
      continue;
    }
    const int widths = best_widths_[context.rank_bits][context.count_bits];
    marks_.push_back(static_cast<char>(size | widths << 4));
    const auto children =
        absl::MakeConstSpan(children_).subspan(context.first, size);
    for (const CountedContext::Child& child : children) {
      smalls_.Append(child.rank, plan.rank_bits[widths]);
    }
    for (const CountedContext::Child& child : children) {
      smalls_.Append(child.count - 1, plan.count_bits[widths]);
    }
  }
  for (size_t slot = pending_.size(); slot < kBlockContexts; ++slot) {
    marks_.push_back(0);
  }
  singles_.FinishByte();
  smalls_.FinishByte();
  return mask;
}

void RankLevelBuilder::WriteBlock() {
  const auto [rank_bits, code] = ChooseSingleWidths();
  const uint64_t mask = AppendFields(rank_bits, kSingleCountBits[code]);
  const uint64_t index = Size(LevelSection::kDirectory) / sizeof(uint32_t);
  if (index % kBlocksPerBase == 0) {
    base_ = {first_child_, Size(LevelSection::kBlocks)};
    AppendValue(LevelSection::kBases, base_);
  }
  const uint64_t offset = Size(LevelSection::kBlocks) - base_.data;
  const uint64_t first = first_child_ - base_.child;
  constexpr uint64_t kMax = std::numeric_limits<uint32_t>::max();
  overflow_ = overflow_ || offset > kMax || first > kMax;
  AppendValue(LevelSection::kDirectory, static_cast<uint32_t>(offset));
  const bool wide = !large_sums_.empty() &&
                    large_sums_.back() > std::numeric_limits<uint16_t>::max();
  const BlockHeader header = {
      mask, static_cast<uint32_t>(first),
      static_cast<uint8_t>(rank_bits | code << 5),
      static_cast<uint8_t>(large_sums_.size() | (wide ? 128 : 0))};
  block_.assign(reinterpret_cast<const char*>(&header), kBlockHeaderBytes);
  if (!large_sums_.empty()) {
    const auto first_large = static_cast<uint32_t>(Size(LevelSection::kLarges) /
                                                       sizeof(LargeContext) -
                                                   large_sums_.size());
    block_.append(reinterpret_cast<const char*>(&first_large), 4);
    for (uint32_t sum : large_sums_) {
      block_.append(reinterpret_cast<const char*>(&sum), wide ? 4 : 2);
    }
  }
  block_ += marks_;
  block_ += singles_.bytes();
  block_ += smalls_.bytes();
  Append(LevelSection::kBlocks, block_);
  pending_.clear();
  children_.clear();
  marks_.clear();
  large_sums_.clear();
  singles_.Clear();
  smalls_.Clear();
}

void RankLevelBuilder::AlignData(size_t bytes) {
  while (DataOffset() % bytes != 0) data_.push_back(0);
}

void RankLevelBuilder::AddLarge(const CountedContext& context) {
  const uint64_t index = Size(LevelSection::kLarges) / sizeof(LargeContext);
  if (index % kLargesPerBase == 0) {
    AlignData(kCellBytes);
    large_base_ = {level_.children, DataOffset()};
    AppendValue(LevelSection::kLargeBases, large_base_);
  }
  LargeContext large = {};
  const CountWeights weights = WeightsOf(context, level_.smoothing);
  large.inverse = static_cast<float>(weights.inverse);
  large.leftover = static_cast<float>(weights.leftover);
  large.size = static_cast<uint32_t>(context.children.size());
  large.first_child =
      static_cast<uint32_t>(level_.children - large_base_.child);
  overflow_ = overflow_ || level_.children - large_base_.child > 0xFFFFFFFF;
  if (!context.children.empty()) {
    const uint32_t range = lower_.SuffixChildren(context);
    const RankList list = ChooseList(large.size, range);
    AlignData(list == RankList::kBitmap ? kCellBytes : 4);
    const uint64_t begin = DataOffset();
    const uint64_t offset = (begin - large_base_.data) / 4;
    switch (list) {
      case RankList::kEmpty:
        break;
      case RankList::kBitmap:
        AppendBitmap(context, range);
        break;
      case RankList::kShort:
        for (const CountedContext::Child& child : context.children) {
          AppendData(static_cast<uint16_t>(child.rank));
        }
        break;
      case RankList::kFano8:
        AppendFano(context, range, 8);
        break;
      case RankList::kFano16:
        AppendFano(context, range, 16);
        break;
    }
    AlignData(2);
    const uint64_t counts_at = DataOffset() - begin;
    overflow_ = overflow_ || offset > 0xFFFFFFFF ||
                counts_at > LargeContext::kMaxCountsAt;
    large.data = static_cast<uint32_t>(offset);
    const uint32_t width = AppendCounts(context);
    if (overflow_) return;
    large.packed = LargeContext::Pack(list, width, counts_at);
    if (large.size > kListedChildren) AppendBest(context, large);
  }
  AppendValue(LevelSection::kLarges, large);
  Append(LevelSection::kLargeData, data_);
  data_.clear();
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

RankList RankLevelBuilder::ChooseList(uint32_t size, uint32_t range) const {
  const uint64_t bitmap = Cells(range) * kCellBytes;
  const uint64_t fano8 = FanoBytes(size, range, 8);
  const uint64_t fano16 = FanoBytes(size, range, 16);
  const uint64_t fano = std::min(fano8, fano16);
  const bool is_short = size <= kGroupCounts && range <= 65'536 &&
                        uint64_t{2} * size <= fano + fano / 4;
  const uint64_t list = is_short ? uint64_t{2} * size : fano;
  // A bitmap is found faster than a list, so it may be larger.
  bool is_bitmap = bitmap * 4 <= list * 5;
  if (order_ == 1) {
    is_bitmap = bitmap <= (size >= kBitmapChildren ? kBitmapBytes : 1) * list;
  }
  if (is_bitmap) return RankList::kBitmap;
  if (is_short) return RankList::kShort;
  return fano8 <= fano16 ? RankList::kFano8 : RankList::kFano16;
}

void RankLevelBuilder::AppendBitmap(const CountedContext& context,
                                    uint32_t range) {
  const uint64_t cells = Cells(range);
  const size_t begin = data_.size();
  data_.resize(begin + cells * kCellBytes);
  char* cell = data_.data() + begin;
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

void RankLevelBuilder::AppendFano(const CountedContext& context, uint32_t range,
                                  int low_bits) {
  const auto size = static_cast<uint32_t>(context.children.size());
  const uint32_t buckets = FanoBuckets(range, low_bits);
  AppendData(buckets);
  const size_t samples = data_.size();
  const size_t upper = samples + FanoList::SampleBytes(buckets);
  data_.resize(upper + FanoList::UpperBytes(size, buckets));
  uint32_t bit = 0, bucket = 0;
  const auto end_bucket = [&] {
    ++bit;
    if (++bucket % FanoList::kSampled != 0) return;
    std::memcpy(&data_[samples + size_t{4} * (bucket / FanoList::kSampled - 1)],
                &bit, sizeof(bit));
  };
  for (const CountedContext::Child& child : context.children) {
    while (bucket < child.rank >> low_bits) end_bucket();
    data_[upper + bit / 8] |= static_cast<char>(1 << bit % 8);
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

uint32_t RankLevelBuilder::AppendCounts(const CountedContext& context) {
  const absl::Span<const CountedContext::Child> children = context.children;
  const auto width_of = [](absl::Span<const CountedContext::Child> group) {
    uint64_t most = 1;
    for (const CountedContext::Child& child : group) {
      most = std::max(most, child.count);
    }
    return BitWidth(most - 1);
  };
  fields_.Clear();
  if (children.size() <= kGroupCounts) {
    const int width = width_of(children);
    overflow_ = overflow_ || width > kMaxFieldBits;
    if (overflow_) return 0;
    for (const CountedContext::Child& child : children) {
      fields_.Append(child.count - 1, width);
    }
    fields_.FinishByte();
    data_ += fields_.bytes();
    return width;
  }
  std::vector<uint32_t> offsets = {0};
  for (size_t begin = 0; begin < children.size(); begin += kGroupCounts) {
    const auto group = children.subspan(begin, kGroupCounts);
    const int width = width_of(group);
    overflow_ = overflow_ || width > kMaxFieldBits;
    if (overflow_) return 0;
    for (const CountedContext::Child& child : group) {
      fields_.Append(child.count - 1, width);
    }
    offsets.push_back(offsets.back() + width);
  }
  // The last group ends at a multiple of 4 bytes, as the others do.
  fields_.FinishByte();
  std::string bytes = fields_.bytes();
  bytes.resize((bytes.size() + 3) / 4 * 4);
  const bool wide = offsets.back() > std::numeric_limits<uint16_t>::max();
  for (uint32_t offset : offsets) {
    if (wide) {
      AppendData(offset);
    } else {
      AppendData(static_cast<uint16_t>(offset));
    }
  }
  data_ += bytes;
  return wide;
}

void RankLevelBuilder::AppendBest(const CountedContext& context,
                                  const LargeContext& large) {
  probabilities_.resize(large.size);
  lower_.Compute(context, absl::MakeSpan(probabilities_));
  for (uint32_t i = 0; i < large.size; ++i) {
    probabilities_[i] =
        large.leftover * probabilities_[i] +
        level_.smoothing.Discounted(context.children[i].count) * large.inverse;
  }
  likeliest_.resize(large.size);
  std::iota(likeliest_.begin(), likeliest_.end(), 0u);
  std::partial_sort(likeliest_.begin(), likeliest_.begin() + kListedChildren,
                    likeliest_.end(), [&](uint32_t a, uint32_t b) {
                      if (probabilities_[a] != probabilities_[b]) {
                        return probabilities_[a] > probabilities_[b];
                      }
                      return a < b;
                    });
  fields_.Clear();
  const int width = BitWidth(large.size - 1);
  for (uint32_t i = 0; i < kListedChildren; ++i) {
    fields_.Append(likeliest_[i], width);
  }
  fields_.FinishByte();
  data_ += fields_.bytes();
  AppendValue(LevelSection::kListed,
              ListedContext{level_.contexts - 1, context.suffix});
}

absl::StatusOr<BuiltRankLevel> RankLevelBuilder::Finish() {
  if (!pending_.empty()) WriteBlock();
  if (overflow_) {
    return absl::ResourceExhaustedError(
        "the counts are too large for the compact layout");
  }
  absl::StatusOr<LevelSectionBytes> views = level_.sections->Finish();
  if (!views.ok()) return views.status();
  level_.views = *views;
  return std::move(level_);
}

}  // namespace lmserve
