// SPDX-License-Identifier: Apache-2.0
#include "models/ngram/compact/rank_level_survey.h"

#include <algorithm>
#include <vector>

#include "models/ngram/compact/bits.h"

namespace lmserve {

FieldNeeds::FieldNeeds(const CountedContext& context)
    : large(context.children.size() > kMaxSmallChildren) {
  if (large || context.children.empty()) return;
  rank_bits = BitWidth(context.children.back().rank);
  uint64_t count = 1;
  for (const CountedContext::Child& child : context.children) {
    count = std::max(count, child.count);
  }
  count_bits = BitWidth(count - 1);
  large = count_bits > kMaxSmallCountBits;
}

void RankLevelSurvey::Add(const CountedContext& context) {
  const FieldNeeds needs(context);
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

RankLevelPlan RankLevelSurvey::Plan() const {
  RankLevelPlan plan;
  plan.direct = direct_;
  ChooseWidths(&plan);
  return plan;
}

void RankLevelSurvey::ChooseWidths(RankLevelPlan* plan) const {
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
  RankLevelPlan& widths = *plan;
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
}

}  // namespace lmserve
