// SPDX-License-Identifier: Apache-2.0
#include "models/ngram/compact/value_encoder.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

namespace lmserve {
namespace {

constexpr uint32_t kSignBit = 0x80000000u;
constexpr uint32_t kInfinityBits = 0x7F800000u;

// One way to encode the values of an order.
struct Plan {
  CodeKind kind;
  bool sparse;  // the n-grams with the commonest value have no code
  int bits;
  double cost;  // in bits
};

// The different values of an order, as the bits of floats in ascending order.
struct DistinctValues {
  explicit DistinctValues(absl::Span<const float> values);

  std::vector<uint32_t> bits;
  size_t commonest = 0;       // an index
  uint64_t commonest_of = 0;  // n-grams with that value
};

DistinctValues::DistinctValues(absl::Span<const float> values) {
  std::vector<uint32_t> sorted(values.size());
  std::transform(values.begin(), values.end(), sorted.begin(),
                 [](float value) { return std::bit_cast<uint32_t>(value); });
  std::sort(sorted.begin(), sorted.end());
  for (size_t i = 0; i < sorted.size();) {
    size_t end = i + 1;
    while (end < sorted.size() && sorted[end] == sorted[i]) ++end;
    // A blank has no probability, so it is no common value.
    if (end - i > commonest_of &&
        !std::isnan(std::bit_cast<float>(sorted[i]))) {
      commonest = bits.size();
      commonest_of = end - i;
    }
    bits.push_back(sorted[i]);
    i = end;
  }
}

class Encoder {
 public:
  Encoder(absl::Span<const float> values, CodeKind plain_kind)
      : values_(values), plain_kind_(plain_kind), distinct_(values) {
    if (plain_kind == CodeKind::kLogProb) FindBase();
  }

  EncodedValues Encode() {
    const Plan plan = ChoosePlan();
    EncodedValues encoded;
    ValueRecord& record = encoded.record;
    record.kind = static_cast<uint32_t>(plan.kind);
    record.bits = static_cast<uint32_t>(plan.bits);
    if (plan.kind == CodeKind::kLogProb) record.base = base_;
    const uint32_t common =
        distinct_.bits.empty() ? 0 : distinct_.bits[distinct_.commonest];
    if (plan.sparse) {
      record.common = std::bit_cast<float>(common);
      WriteCells(common, &encoded.cells);
    }
    if (plan.kind == CodeKind::kTable) {
      if (plan.sparse) {
        distinct_.bits.erase(distinct_.bits.begin() + distinct_.commonest);
      }
      for (uint32_t bits : distinct_.bits) {
        encoded.table.push_back(std::bit_cast<float>(bits));
      }
      record.table_size = static_cast<uint32_t>(encoded.table.size());
    }
    BitWriter codes;
    for (float value : values_) {
      const auto bits = std::bit_cast<uint32_t>(value);
      if (plan.sparse && bits == common) continue;
      codes.Append(CodeOf(plan.kind, bits), plan.bits);
      ++record.codes;
    }
    codes.FinishByte();
    encoded.codes = codes.bytes();
    encoded.codes.append(kSectionPadding, 0);
    return encoded;
  }

 private:
  // Finds the smallest absolute value of the log-probabilities that have no
  // special codes, and how many bits the others need from there.
  void FindBase() {
    uint32_t least = kInfinityBits, most = 0;
    for (uint32_t bits : distinct_.bits) {
      const uint32_t absolute = bits & ~kSignBit;
      if (absolute == 0 || absolute >= kInfinityBits) continue;
      least = std::min(least, absolute);
      most = std::max(most, absolute);
    }
    base_ = most == 0 ? 0 : least;
    plain_bits_ = BitWidth(most - base_ + kSpecialCodes);
  }

  Plan ChoosePlan() const {
    const auto size = static_cast<double>(values_.size());
    const auto rare = size - static_cast<double>(distinct_.commonest_of);
    const size_t different = distinct_.bits.size();
    const double cells = size * kCellBytes * 8 / kCellRanks;
    const auto index_bits = [](size_t count) {
      return count == 0 ? 0 : BitWidth(count - 1);
    };
    const int all_bits = index_bits(different);
    const int rare_bits = different == 0 ? 0 : index_bits(different - 1);
    std::vector<Plan> plans = {
        {plain_kind_, false, plain_bits_, size * plain_bits_},
        {CodeKind::kTable, false, all_bits,
         size * all_bits + 32.0 * static_cast<double>(different)}};
    if (distinct_.commonest_of > 0 &&
        rare <= std::numeric_limits<uint32_t>::max()) {
      // Cells cost time, so they must save some of the room.
      constexpr double kCost = 1.15;
      plans.push_back({plain_kind_, true, plain_bits_,
                       kCost * (cells + rare * plain_bits_)});
      plans.push_back({CodeKind::kTable, true, rare_bits,
                       kCost * (cells + rare * rare_bits +
                                32.0 * static_cast<double>(different - 1))});
    }
    return *std::min_element(
        plans.begin(), plans.end(),
        [](const Plan& a, const Plan& b) { return a.cost < b.cost; });
  }

  uint32_t CodeOf(CodeKind kind, uint32_t bits) const {
    switch (kind) {
      case CodeKind::kTable:
        return static_cast<uint32_t>(std::lower_bound(distinct_.bits.begin(),
                                                      distinct_.bits.end(),
                                                      bits) -
                                     distinct_.bits.begin());
      case CodeKind::kLogProb: {
        const uint32_t absolute = bits & ~kSignBit;
        if (absolute > kInfinityBits) return 0;
        if (absolute == 0) return 1;
        if (absolute == kInfinityBits) return 2;
        return absolute - base_ + kSpecialCodes;
      }
      case CodeKind::kFloat:
        break;
    }
    return bits;
  }

  void WriteCells(uint32_t common, std::string* cells) const {
    cells->resize((values_.size() + kCellRanks - 1) / kCellRanks * kCellBytes);
    uint32_t codes = 0;
    for (size_t i = 0; i < values_.size(); ++i) {
      char* cell = cells->data() + i / kCellRanks * kCellBytes;
      const size_t bit = i % kCellRanks;
      if (bit == 0) std::memcpy(cell, &codes, sizeof(codes));
      if (std::bit_cast<uint32_t>(values_[i]) == common) continue;
      cell[4 + bit / 8] |= static_cast<char>(1 << bit % 8);
      ++codes;
    }
  }

  const absl::Span<const float> values_;
  const CodeKind plain_kind_;
  DistinctValues distinct_;
  uint32_t base_ = 0;
  int plain_bits_ = kMaxCodeBits;
};

}  // namespace

ValueCodes EncodedValues::View() const {
  ValueCodes view;
  view.cells =
      cells.empty() ? nullptr : reinterpret_cast<const uint8_t*>(cells.data());
  view.codes = reinterpret_cast<const uint8_t*>(codes.data());
  view.table = table.data();
  view.bits = record.bits;
  view.kind = static_cast<CodeKind>(record.kind);
  view.base = record.base;
  view.common = record.common;
  return view;
}

EncodedValues EncodeLogProbs(absl::Span<const float> log_probs) {
  return Encoder(log_probs, CodeKind::kLogProb).Encode();
}

EncodedValues EncodeBackoffs(absl::Span<const float> backoffs) {
  return Encoder(backoffs, CodeKind::kFloat).Encode();
}

}  // namespace lmserve
