// SPDX-License-Identifier: Apache-2.0
#include "models/ngram/count_trie_builder.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <numeric>
#include <utility>

#include "absl/base/macros.h"
#include "models/ngram/bits.h"

namespace lmserve {
namespace {

size_t AlignSection(size_t size) { return (size + 63) / 64 * 64; }

// Computes P(w | h') for the children h w of a context h, from the levels of
// the shorter contexts.
class LowerOrders {
 public:
  LowerOrders(const CountTrie& trie, absl::Span<const BuiltCountLevel> levels)
      : trie_(trie), levels_(levels) {}

  // `probabilities` are by child. REQUIRES: each suffix of the context has more
  // than kListedChildren children.
  void Compute(const CountedContext& context,
               absl::Span<double> probabilities) const {
    // The ids of the context's suffixes, the longest at the end.
    std::vector<NgramId> ids(levels_.size());
    NgramId id = context.suffix;
    for (size_t k = levels_.size(); k > 0; --k) {
      ids[k - 1] = id;
      if (k > 1) id = levels_[k - 1].suffixes.at(id);
    }
    std::vector<CountContext> suffixes;
    for (size_t k = 0; k < ids.size(); ++k) {
      suffixes.emplace_back(trie_.levels[k], ids[k]);
    }
    for (size_t i = 0; i < context.children.size(); ++i) {
      const auto path = FindPath(suffixes, context.children[i].rank);
      ABSL_ASSERT(path.has_value());
      probabilities[i] = trie_.Probability(suffixes, *path);
    }
  }

 private:
  const CountTrie& trie_;
  const absl::Span<const BuiltCountLevel> levels_;
};

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

absl::Status CountTrieBuilder::AddLevel(Contexts contexts,
                                        const CountSmoothing& smoothing) {
  CountLevelSurvey survey;
  contexts([&](const CountedContext& context) { survey.Add(context); });
  const LowerOrders lower(trie_, levels_);
  CountLevelBuilder builder(
      static_cast<int>(levels_.size()) + 1, survey, smoothing,
      [&](const CountedContext& context, absl::Span<double> probabilities) {
        lower.Compute(context, probabilities);
      });
  contexts([&](const CountedContext& context) { builder.Add(context); });
  absl::StatusOr<BuiltCountLevel> level = builder.Finish();
  if (!level.ok()) return level.status();
  levels_.push_back(*std::move(level));
  trie_.levels.push_back(levels_.back().View());
  return absl::OkStatus();
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

std::string CountTrieBuilder::Finish() {
  std::string file(
      sizeof(CountTrieHeader) + levels_.size() * sizeof(CountLevelRecord), 0);
  const auto add_section = [&file](const void* data, size_t size) {
    const size_t begin = AlignSection(file.size());
    file.resize(begin);
    file.append(static_cast<const char*>(data), size);
    file.append(kSectionPadding, 0);
    return begin;
  };
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
  header.unigram_counts_at = add_section(counts.data(), counts.size());
  const std::string order = UnigramOrder();
  header.unigram_order_at = add_section(order.data(), order.size());
  std::vector<CountLevelRecord> records;
  for (BuiltCountLevel& level : levels_) {
    CountLevelRecord record = {};
    record.children = level.children;
    record.direct = level.direct;
    record.directory_at =
        add_section(level.directory.data(), level.directory.size() * 4);
    record.bases_at =
        add_section(level.bases.data(), level.bases.size() * sizeof(BlockBase));
    record.blocks_size = level.blocks.size() - kSectionPadding;
    record.blocks_at = add_section(level.blocks.data(), record.blocks_size);
    record.larges_at = add_section(level.larges.data(),
                                   level.larges.size() * sizeof(LargeContext));
    record.larges = level.larges.size();
    record.large_bases_at = add_section(
        level.large_bases.data(), level.large_bases.size() * sizeof(BlockBase));
    record.large_data_size = level.large_data.size() - kSectionPadding;
    record.large_data_at =
        add_section(level.large_data.data(), record.large_data_size);
    record.smoothing = level.smoothing;
    record.rank_bits = level.widths.rank_bits;
    record.count_bits = level.widths.count_bits;
    records.push_back(record);
    level = {};  // frees the memory
  }
  header.file_size = file.size();
  std::memcpy(file.data(), &header, sizeof(header));
  std::copy_n(reinterpret_cast<const char*>(records.data()),
              records.size() * sizeof(CountLevelRecord),
              file.begin() + sizeof(header));
  return file;
}

}  // namespace lmserve
