// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_NGRAM_COMPACT_RANK_LEVEL_BUILDER_H_
#define LMSERVE_MODELS_NGRAM_COMPACT_RANK_LEVEL_BUILDER_H_

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "models/ngram/compact/bits.h"
#include "models/ngram/compact/level_sections.h"
#include "models/ngram/compact/rank_level_survey.h"
#include "models/ngram/compact/rank_trie.h"

namespace lmserve {

// A context with more than kListedChildren children, and its suffix.
struct ListedContext {
  NgramId context;
  NgramId suffix;
};

// One level of the file: what its record says, and its sections.
struct BuiltRankLevel {
  // Returns a view, which is valid as long as the sections.
  RankLevel View() const;

  absl::string_view bytes(LevelSection section) const {
    return views[static_cast<int>(section)];
  }
  // Sorted by context. Not part of the file.
  absl::Span<const ListedContext> listed() const;

  uint64_t contexts = 0;
  uint64_t children = 0;
  CountSmoothing smoothing = {};
  RankLevelPlan plan;
  std::unique_ptr<LevelSections> sections;
  LevelSectionBytes views;  // of the sections
};

// The sections of a level, in the order of the file.
inline constexpr std::array<LevelSection, 6> kFileSections = {
    LevelSection::kDirectory,  LevelSection::kBases,
    LevelSection::kBlocks,     LevelSection::kLarges,
    LevelSection::kLargeBases, LevelSection::kLargeData};

// Returns the record of a level. Calls `add` for each of its kFileSections, in
// this order, which returns the offset of the section in the file.
RankLevelRecord RecordOf(const BuiltRankLevel& level,
                         absl::FunctionRef<uint64_t(absl::string_view)> add);

// What the builder of a level asks of the levels of shorter contexts.
class LowerOrders {
 public:
  virtual ~LowerOrders() = default;

  // Returns how many children the suffix of a context has; for a context of
  // order 1, the number of words.
  virtual uint32_t SuffixChildren(const CountedContext& context) const = 0;

  // Computes P(w | h') for the children h w of a context h, where h' is its
  // suffix. REQUIRES: there are more than kListedChildren.
  virtual void Compute(const CountedContext& context,
                       absl::Span<double> probabilities) const = 0;
};

// Builds one level. Not thread-safe.
class RankLevelBuilder {
 public:
  // Builds the level of the contexts of an order. `lower` must outlive the
  // builder; its levels are those of all shorter contexts.
  RankLevelBuilder(int order, const RankLevelPlan& plan,
                   const CountSmoothing& smoothing, const LowerOrders& lower,
                   std::unique_ptr<LevelSections> sections);

  // Adds the next context.
  void Add(const CountedContext& context);

  // Writes the last block and returns the level. RESOURCE_EXHAUSTED if an
  // offset does not fit its field; the errors of the sections.
  absl::StatusOr<BuiltRankLevel> Finish();

 private:
  // A context of the current block.
  struct Pending {
    uint32_t size;   // number of children
    uint32_t first;  // the first of them in children_, if it is not large
    int rank_bits, count_bits;
    bool large;
  };

  void AddLarge(const CountedContext& context);
  // Returns how the ranks of a large context are stored, which are below
  // `range`.
  RankList ChooseList(uint32_t size, uint32_t range) const;
  void AppendBitmap(const CountedContext& context, uint32_t range);
  void AppendFano(const CountedContext& context, uint32_t range, int low_bits);
  // Writes the counts and returns LargeContext::width().
  uint32_t AppendCounts(const CountedContext& context);
  void AppendBest(const CountedContext& context, const LargeContext& large);

  void WriteBlock();
  // Adds the fields of the current block to singles_ and smalls_, and its marks
  // and the sums of its large contexts. Returns the mask of the singles.
  uint64_t AppendFields(int rank_bits, int count_bits);
  // The widths of the fields of contexts with one child.
  struct SingleWidths {
    int rank_bits;
    int code;  // of the bits of a count; see kSingleCountBits
  };
  // Returns the widths with which the current block takes the fewest bits.
  SingleWidths ChooseSingleWidths() const;
  // Returns the index of the smallest widths that hold a rank and a count with
  // these numbers of bits.
  int FindWidths(int rank_bits, int count_bits) const;

  uint64_t Size(LevelSection section) const {
    return sizes_[static_cast<int>(section)];
  }
  void Append(LevelSection section, absl::string_view bytes) {
    sizes_[static_cast<int>(section)] += bytes.size();
    level_.sections->Append(section, bytes);
  }
  template <typename T>
  void AppendValue(LevelSection section, const T& value) {
    Append(section, {reinterpret_cast<const char*>(&value), sizeof value});
  }
  // The offset of the next byte of data_ in its section.
  uint64_t DataOffset() const {
    return Size(LevelSection::kLargeData) + data_.size();
  }
  // Adds zeros to data_ up to an offset that is a multiple of `bytes`.
  void AlignData(size_t bytes);
  template <typename T>
  void AppendData(T value) {
    data_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }

  const int order_;
  const LowerOrders& lower_;
  BuiltRankLevel level_;
  std::array<uint64_t, kLevelSections> sizes_ = {};
  // The widths for each number of rank and count bits.
  std::array<std::array<uint8_t, kMaxSmallCountBits + 1>, 33> best_widths_;
  // The last base of each kind.
  BlockBase base_ = {}, large_base_ = {};
  bool overflow_ = false;

  // The current block.
  std::vector<Pending> pending_;
  std::vector<CountedContext::Child> children_;
  uint64_t first_child_ = 0;
  std::string marks_;
  std::vector<uint32_t> large_sums_;
  BitWriter singles_, smalls_;
  std::string block_;
  // The data of the current large context.
  std::string data_;
  BitWriter fields_;
  std::vector<double> probabilities_;
  std::vector<uint32_t> likeliest_;
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NGRAM_COMPACT_RANK_LEVEL_BUILDER_H_
