// SPDX-License-Identifier: Apache-2.0
#include "models/ngram/compact/count_trie_builder.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <numeric>
#include <utility>

#include "absl/base/macros.h"
#include "models/ngram/compact/bits.h"

namespace lmserve {
namespace {

size_t AlignSection(size_t size) { return (size + 63) / 64 * 64; }

// The levels that are built.
class BuiltOrders final : public LowerOrders {
 public:
  BuiltOrders(const CountTrie& trie, absl::Span<const BuiltRankLevel> levels)
      : trie_(trie), levels_(levels) {}

  uint32_t SuffixChildren(const CountedContext& context) const override {
    if (levels_.empty()) return trie_.vocabulary_size;
    return RankContext(trie_.levels.back(), context.suffix).size();
  }

  void Compute(const CountedContext& context,
               absl::Span<double> probabilities) const override {
    std::vector<RankContext> suffixes;
    NgramId id = context.suffix;
    for (size_t k = levels_.size(); k > 0; --k) {
      suffixes.emplace_back(trie_.levels[k - 1], id);
      if (k > 1) id = SuffixOf(levels_[k - 1], id);
    }
    std::reverse(suffixes.begin(), suffixes.end());
    for (size_t i = 0; i < context.children.size(); ++i) {
      const auto path = FindPath(suffixes, context.children[i].rank);
      ABSL_ASSERT(path.has_value());
      probabilities[i] = trie_.Probability(suffixes, *path);
    }
  }

 private:
  // REQUIRES: the context is listed, as each suffix of a listed context is.
  static NgramId SuffixOf(const BuiltRankLevel& level, NgramId context) {
    const absl::Span<const ListedContext> listed = level.listed();
    const auto found =
        std::lower_bound(listed.begin(), listed.end(), context,
                         [](const ListedContext& entry, NgramId wanted) {
                           return entry.context < wanted;
                         });
    ABSL_ASSERT(found != listed.end() && found->context == context);
    return found->suffix;
  }

  const CountTrie& trie_;
  const absl::Span<const BuiltRankLevel> levels_;
};

// Places the sections of a file one after the other.
class FilePlan {
 public:
  explicit FilePlan(uint64_t header_bytes) : size_(header_bytes) {}

  // Returns the offset of the next section.
  uint64_t Add(uint64_t bytes) {
    const uint64_t begin = AlignSection(size_);
    size_ = begin + bytes + kSectionPadding;
    return begin;
  }
  uint64_t size() const { return size_; }

 private:
  uint64_t size_;
};

// Writes the sections at the places of a FilePlan.
class FileWriter {
 public:
  explicit FileWriter(absl::FunctionRef<void(absl::string_view)> append)
      : append_(append) {}

  void AppendHeader(absl::string_view bytes) {
    append_(bytes);
    size_ += bytes.size();
  }
  void AppendSection(absl::string_view bytes) {
    constexpr std::array<char, kSectionPadding> kZeros = {};
    const uint64_t begin = AlignSection(size_);
    append_({kZeros.data(), begin - size_});
    append_(bytes);
    append_({kZeros.data(), kZeros.size()});
    size_ = begin + bytes.size() + kSectionPadding;
  }

 private:
  const absl::FunctionRef<void(absl::string_view)> append_;
  uint64_t size_ = 0;
};

template <typename T>
absl::string_view BytesOf(const T* values, size_t count) {
  return {reinterpret_cast<const char*>(values), count * sizeof(T)};
}

}  // namespace

CountTrieBuilder::CountTrieBuilder(std::vector<uint64_t> counts,
                                   WordId begin_sentence,
                                   const CountSmoothing& smoothing)
    : counts_(std::move(counts)) {
  trie_.vocabulary_size = static_cast<WordId>(counts_.size());
  trie_.begin_sentence = begin_sentence;
  trie_.counts32 = nullptr;
  trie_.counts64 = counts_.data();
  trie_.unigrams = smoothing;
  trie_.ComputeUnigramWeights();
  levels_.reserve(kMaxNgramOrder);
}

absl::Status CountTrieBuilder::AddLevel(
    const RankLevelPlan& plan, Contexts contexts,
    const CountSmoothing& smoothing, std::unique_ptr<LevelSections> sections) {
  const BuiltOrders lower(trie_, levels_);
  RankLevelBuilder builder(static_cast<int>(levels_.size()) + 1, plan,
                           smoothing, lower, std::move(sections));
  absl::Status status =
      contexts([&](const CountedContext& context) { builder.Add(context); });
  if (!status.ok()) return status;
  absl::StatusOr<BuiltRankLevel> level = builder.Finish();
  if (!level.ok()) return level.status();
  AddLevel(*std::move(level));
  return absl::OkStatus();
}

void CountTrieBuilder::AddLevel(BuiltRankLevel level) {
  levels_.push_back(std::move(level));
  trie_.levels.push_back(levels_.back().View());
}

std::string CountTrieBuilder::UnigramOrder() const {
  std::vector<double> probabilities(counts_.size());
  for (WordId w = 0; w < counts_.size(); ++w) {
    probabilities[w] = trie_.UnigramProbability(w);
  }
  std::vector<WordId> order(counts_.size());
  std::iota(order.begin(), order.end(), 0u);
  std::stable_sort(order.begin(), order.end(), [&](WordId a, WordId b) {
    return probabilities[a] > probabilities[b];
  });
  BitWriter bits;
  const int width = BitWidth(counts_.size() - 1);
  for (WordId word : order) bits.Append(word, width);
  bits.FinishByte();
  return bits.bytes();
}

std::string CountTrieBuilder::UnigramCounts(size_t size) const {
  std::string bytes(counts_.size() * size, 0);
  for (size_t w = 0; w < counts_.size(); ++w) {
    std::memcpy(&bytes[w * size], &counts_[w], size);
  }
  return bytes;
}

uint64_t CountTrieBuilder::Write(
    absl::FunctionRef<void(absl::string_view)> append) {
  CountTrieHeader header = {};
  header.magic = kCountTrieMagic;
  header.order = static_cast<uint32_t>(levels_.size()) + 1;
  header.vocabulary_size = trie_.vocabulary_size;
  header.smoothing = trie_.unigrams;
  const bool wide = std::any_of(counts_.begin(), counts_.end(), [](uint64_t c) {
    return c > std::numeric_limits<uint32_t>::max();
  });
  header.unigram_count_size = wide ? 8 : 4;
  const std::string counts = UnigramCounts(header.unigram_count_size);
  const std::string order = UnigramOrder();
  FilePlan plan(sizeof(CountTrieHeader) +
                levels_.size() * sizeof(RankLevelRecord));
  header.unigram_counts_at = plan.Add(counts.size());
  header.unigram_order_at = plan.Add(order.size());
  std::vector<RankLevelRecord> records;
  for (const BuiltRankLevel& level : levels_) {
    records.push_back(RecordOf(level, [&plan](absl::string_view bytes) {
      return plan.Add(bytes.size());
    }));
  }
  header.file_size = plan.size();
  FileWriter writer(append);
  writer.AppendHeader(BytesOf(&header, 1));
  writer.AppendHeader(BytesOf(records.data(), records.size()));
  writer.AppendSection(counts);
  writer.AppendSection(order);
  for (BuiltRankLevel& level : levels_) {
    for (LevelSection section : kFileSections) {
      writer.AppendSection(level.bytes(section));
    }
    level = {};
  }
  trie_.levels.clear();
  return header.file_size;
}

std::string CountTrieBuilder::Finish() {
  std::string file;
  Write([&file](absl::string_view bytes) {
    file.append(bytes.data(), bytes.size());
  });
  return file;
}

}  // namespace lmserve
