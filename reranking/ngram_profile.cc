// SPDX-License-Identifier: Apache-2.0
#include "reranking/ngram_profile.h"

#include <algorithm>

namespace lmserve {
namespace {

constexpr size_t kKeyBits = 128;

// Calls visit(n-gram, count in a, count in b) for every n-gram of two sorted
// lists. The count is 0 in a list without the n-gram.
template <typename Counts, typename Visit>
void ForEachNgram(const Counts& a, const Counts& b, Visit visit) {
  auto i = a.begin();
  auto j = b.begin();
  while (i != a.end() || j != b.end()) {
    const bool only_a = j == b.end() || (i != a.end() && i->first < j->first);
    const bool only_b = !only_a && (i == a.end() || j->first < i->first);
    const auto& key = only_b ? j->first : i->first;
    visit(key, only_b ? 0 : i->second, only_a ? 0 : j->second);
    if (!only_b) ++i;
    if (!only_a) ++j;
  }
}

}  // namespace

NgramProfile::NgramProfile(absl::Span<const uint32_t> symbols, size_t orders) {
  for (size_t order = 1; order <= orders; ++order) {
    counts_.push_back(Count(symbols, order, kKeyBits / orders));
    totals_.push_back(symbols.size() < order ? 0 : symbols.size() - order + 1);
  }
}

NgramProfile::Counts NgramProfile::Count(absl::Span<const uint32_t> symbols,
                                         size_t order, size_t bits) {
  std::vector<absl::uint128> ngrams;
  ngrams.reserve(symbols.size());
  for (size_t i = 0; i + order <= symbols.size(); ++i) {
    absl::uint128 ngram = 0;
    for (uint32_t symbol : symbols.subspan(i, order)) {
      ngram = (ngram << static_cast<int>(bits)) | symbol;
    }
    ngrams.push_back(ngram);
  }
  std::sort(ngrams.begin(), ngrams.end());
  Counts counts;
  for (const absl::uint128& ngram : ngrams) {
    if (counts.empty() || counts.back().first != ngram) {
      counts.emplace_back(ngram, 0);
    }
    ++counts.back().second;
  }
  return counts;
}

uint64_t NgramProfile::CountCommon(const NgramProfile& other,
                                   size_t order) const {
  const Counts& a = counts_[order - 1];
  const Counts& b = other.counts_[order - 1];
  uint64_t common = 0;
  for (size_t i = 0, j = 0; i < a.size() && j < b.size();) {
    if (a[i].first == b[j].first) {
      common += std::min(a[i++].second, b[j++].second);
    } else {
      a[i].first < b[j].first ? ++i : ++j;
    }
  }
  return common;
}

void NgramProfile::MergeMaximum(const NgramProfile& other) {
  for (size_t n = 0; n < counts_.size(); ++n) {
    Counts merged;
    totals_[n] = 0;
    ForEachNgram(counts_[n], other.counts_[n],
                 [&](const absl::uint128& ngram, uint64_t a, uint64_t b) {
                   merged.emplace_back(ngram, std::max(a, b));
                   totals_[n] += std::max(a, b);
                 });
    counts_[n] = std::move(merged);
  }
}

std::vector<uint32_t> WordNumbers::Find(absl::Span<const std::string> words) {
  std::vector<uint32_t> numbers;
  numbers.reserve(words.size());
  for (const std::string& word : words) {
    const auto next = static_cast<uint32_t>(numbers_.size());
    numbers.push_back(numbers_.emplace(word, next).first->second);
  }
  return numbers;
}

}  // namespace lmserve
