// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_NGRAM_COMPACT_RANK_LEVEL_SURVEY_H_
#define LMSERVE_MODELS_NGRAM_COMPACT_RANK_LEVEL_SURVEY_H_

#include <array>
#include <cstdint>

#include "absl/types/span.h"
#include "models/ngram/compact/rank_trie.h"

namespace lmserve {

// A context with its children, as the builders of the compact layout take them.
struct CountedContext {
  struct Child {
    uint32_t rank;   // see rank_trie.h
    uint64_t count;  // at least 1
  };

  // The id of the context without its first word; 0 for a context of order 1.
  NgramId suffix;
  absl::Span<const Child> children;  // by ascending rank
};

// What the fields of a context need, and whether that makes it large.
struct FieldNeeds {
  explicit FieldNeeds(const CountedContext& context);

  int rank_bits = 0, count_bits = 0;
  bool large = false;
};

// How the contexts of an order are stored.
struct RankLevelPlan {
  // How many contexts at the beginning are stored as large contexts, without
  // blocks.
  uint64_t direct = 0;
  // The widths of the fields of small contexts.
  std::array<uint8_t, kFieldWidths> rank_bits = {};
  std::array<uint8_t, kFieldWidths> count_bits = {};
};

// Reads all contexts of an order once and decides how they are stored. Not
// thread-safe.
class RankLevelSurvey {
 public:
  void Add(const CountedContext& context);

  RankLevelPlan Plan() const;

 private:
  static constexpr int kMaxRankBits = 32;

  // Chooses the widths greedily: the pair that saves most bits next.
  void ChooseWidths(RankLevelPlan* plan) const;

  uint64_t contexts_ = 0;
  // Those before the first block in which fewer than three quarters are large.
  uint64_t direct_ = 0;
  bool direct_ended_ = false;
  uint32_t larges_in_block_ = 0;
  // The number of children whose context needs these rank and count bits.
  std::array<std::array<uint64_t, kMaxSmallCountBits + 1>, kMaxRankBits + 1>
      children_ = {};
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NGRAM_COMPACT_RANK_LEVEL_SURVEY_H_
