// SPDX-License-Identifier: Apache-2.0
#include "models/ngram/compact/suffix_closure.h"

#include <algorithm>
#include <utility>

#include "absl/types/span.h"
#include "models/ngram/compact/value_codes.h"

namespace lmserve {
namespace {

// N-grams of one order as words, without those of the table.
using WordLists = std::vector<std::vector<WordId>>;

// Returns the child of a context with a word, as an index in the level
// `children`, or kNoSuffix.
uint32_t FindChild(const NgramLevel& contexts, const NgramLevel& children,
                   uint32_t context, WordId word) {
  const auto begin = children.words.begin() + contexts.children[context];
  const auto end = children.words.begin() + contexts.children[context + 1];
  const auto found = std::lower_bound(begin, end, word);
  if (found == end || *found != word) return kNoSuffix;
  return static_cast<uint32_t>(found - children.words.begin());
}

// Returns the index of an n-gram in the level of its order, or kNoSuffix.
uint32_t Find(const NgramTable& table, absl::Span<const WordId> words) {
  uint32_t found = words[0];
  for (size_t k = 1; k < words.size() && found != kNoSuffix; ++k) {
    found = FindChild(table.levels[k - 1], table.levels[k], found, words[k]);
  }
  return found;
}

// Returns the words of n-gram i of order k.
std::vector<WordId> WordsOf(const NgramTable& table, int k, uint32_t i) {
  std::vector<WordId> words(k);
  for (; k > 0; --k) {
    words[k - 1] = table.levels[k - 1].words[i];
    if (k == 1) break;
    const std::vector<uint32_t>& children = table.levels[k - 2].children;
    i = static_cast<uint32_t>(
        std::upper_bound(children.begin(), children.end(), i) -
        children.begin() - 1);
  }
  return words;
}

void SortAndUnique(WordLists* lists) {
  std::sort(lists->begin(), lists->end());
  lists->erase(std::unique(lists->begin(), lists->end()), lists->end());
}

// Returns the n-grams that are missing, by order - 1, sorted.
std::vector<WordLists> FindMissing(const NgramTable& table,
                                   const SuffixLinks& links) {
  std::vector<WordLists> missing(table.order());
  for (int k = table.order(); k > 2; --k) {
    WordLists& lower = missing[k - 2];
    const std::vector<uint32_t>& suffixes = links[k - 2];
    for (uint32_t i = 0; i < suffixes.size(); ++i) {
      if (suffixes[i] != kNoSuffix) continue;
      lower.push_back(WordsOf(table, k, i));
      lower.back().erase(lower.back().begin());
    }
    for (const std::vector<WordId>& words : missing[k - 1]) {
      const auto suffix = absl::MakeConstSpan(words).subspan(1);
      if (Find(table, suffix) == kNoSuffix) {
        lower.emplace_back(suffix.begin(), suffix.end());
      }
    }
    SortAndUnique(&lower);
  }
  return missing;
}

// Merges the n-grams of one order with those that are missing.
class LevelMerger {
 public:
  LevelMerger(const NgramLevel& level, bool is_highest, NgramLevel* merged)
      : level_(level), is_highest_(is_highest), merged_(*merged) {}

  // Appends n-gram i of the level.
  void Append(uint32_t i) {
    merged_.words.push_back(level_.words[i]);
    merged_.log_probs.push_back(level_.log_probs[i]);
    if (!is_highest_) merged_.backoffs.push_back(level_.backoffs[i]);
    sources_.push_back(i);
  }
  void AppendBlank(WordId word) {
    merged_.words.push_back(word);
    merged_.log_probs.push_back(kBlankLogProb);
    merged_.backoffs.push_back(0);  // blanks have a lower order than others
    sources_.push_back(kNoSuffix);
  }

  // The index in the level of each n-gram; kNoSuffix for a blank.
  std::vector<uint32_t> TakeSources() { return std::move(sources_); }

 private:
  const NgramLevel& level_;
  const bool is_highest_;
  NgramLevel& merged_;
  std::vector<uint32_t> sources_;
};

}  // namespace

SuffixLinks FindSuffixes(const NgramTable& table) {
  SuffixLinks links(table.order() - 1);
  if (table.order() == 1) return links;
  links[0] = table.levels[1].words;
  for (int k = 3; k <= table.order(); ++k) {
    const NgramLevel& contexts = table.levels[k - 2];
    const NgramLevel& level = table.levels[k - 1];
    std::vector<uint32_t>& suffixes = links[k - 2];
    suffixes.resize(level.size(), kNoSuffix);
    for (uint32_t c = 0; c < contexts.size(); ++c) {
      const uint32_t suffix = links[k - 3][c];
      if (suffix == kNoSuffix) continue;
      for (uint32_t i = contexts.children[c]; i < contexts.children[c + 1];
           ++i) {
        suffixes[i] =
            FindChild(table.levels[k - 3], contexts, suffix, level.words[i]);
      }
    }
  }
  return links;
}

bool IsClosed(const SuffixLinks& links) {
  return std::all_of(
      links.begin(), links.end(), [](const std::vector<uint32_t>& suffixes) {
        return std::find(suffixes.begin(), suffixes.end(), kNoSuffix) ==
               suffixes.end();
      });
}

NgramTable AddBlanks(const NgramTable& table, const SuffixLinks& links) {
  const std::vector<WordLists> missing = FindMissing(table, links);
  NgramTable closed;
  closed.rule = table.rule;
  closed.log_alpha = table.log_alpha;
  closed.levels.resize(table.order());
  closed.levels[0] = table.levels[0];
  // The n-grams of the order below that the contexts of `closed` are.
  std::vector<uint32_t> contexts(table.levels[0].size());
  for (uint32_t i = 0; i < contexts.size(); ++i) contexts[i] = i;
  for (int k = 2; k <= table.order(); ++k) {
    const NgramLevel& level = table.levels[k - 1];
    const std::vector<uint32_t>& children = table.levels[k - 2].children;
    std::vector<uint32_t>& merged_children = closed.levels[k - 2].children;
    merged_children.assign(1, 0);
    LevelMerger merger(level, k == table.order(), &closed.levels[k - 1]);
    auto blank = missing[k - 1].begin();
    const auto end = missing[k - 1].end();
    // The context of the next blank.
    const auto blank_context = [&]() -> uint32_t {
      if (blank == end) return kNoSuffix;
      return Find(closed, absl::MakeConstSpan(*blank).subspan(0, k - 1));
    };
    uint32_t next = blank_context();
    for (uint32_t c = 0; c < contexts.size(); ++c) {
      const bool is_blank = contexts[c] == kNoSuffix;
      uint32_t i = is_blank ? 0 : children[contexts[c]];
      const uint32_t last = is_blank ? 0 : children[contexts[c] + 1];
      for (; next == c; ++blank, next = blank_context()) {
        const WordId word = blank->back();
        for (; i < last && level.words[i] < word; ++i) merger.Append(i);
        merger.AppendBlank(word);
      }
      for (; i < last; ++i) merger.Append(i);
      merged_children.push_back(
          static_cast<uint32_t>(closed.levels[k - 1].size()));
    }
    contexts = merger.TakeSources();
  }
  return closed;
}

}  // namespace lmserve
