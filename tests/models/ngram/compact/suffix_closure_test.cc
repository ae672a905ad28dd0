// SPDX-License-Identifier: Apache-2.0
#include "models/ngram/compact/suffix_closure.h"

#include <cmath>
#include <map>
#include <vector>

#include "gtest/gtest.h"
#include "tests/models/ngram/random_table.h"

namespace lmserve {
namespace {

using Words = std::vector<WordId>;

struct Entry {
  float log_prob;
  float backoff;
};

// Returns the n-grams of a table, keyed by their words. Checks that the
// children of each context are sorted.
std::map<Words, Entry> ByWords(const NgramTable& table) {
  std::map<Words, Entry> ngrams;
  std::vector<Words> contexts = {{}};
  std::vector<uint32_t> children = {
      0, static_cast<uint32_t>(table.levels[0].size())};
  for (const NgramLevel& level : table.levels) {
    EXPECT_EQ(children.size(), contexts.size() + 1);
    EXPECT_EQ(children.back(), level.size());
    std::vector<Words> next;
    for (size_t c = 0; c < contexts.size(); ++c) {
      for (uint32_t i = children[c]; i < children[c + 1]; ++i) {
        EXPECT_TRUE(i == children[c] || level.words[i - 1] < level.words[i]);
        next.push_back(contexts[c]);
        next.back().push_back(level.words[i]);
        ngrams[next.back()] = {level.log_probs[i],
                               level.backoffs.empty() ? 0 : level.backoffs[i]};
      }
    }
    contexts = std::move(next);
    children = level.children;
  }
  return ngrams;
}

// Adds the missing suffixes by their definition.
void AddNaively(std::map<Words, Entry>* ngrams) {
  std::vector<Words> pending;
  for (const auto& [words, unused] : *ngrams) pending.push_back(words);
  while (!pending.empty()) {
    Words suffix = pending.back();
    pending.pop_back();
    suffix.erase(suffix.begin());
    if (suffix.empty() || ngrams->contains(suffix)) continue;
    (*ngrams)[suffix] = {std::nanf(""), 0};
    pending.push_back(suffix);
  }
}

TEST(SuffixClosureTest, BlanksAreTheMissingSuffixes) {
  for (uint32_t seed : {1, 2, 3}) {
    const NgramTable table = RandomTable(40, UnseenRule::kBackOff, seed);
    const SuffixLinks links = FindSuffixes(table);
    ASSERT_FALSE(IsClosed(links));
    const NgramTable closed = AddBlanks(table, links);
    const std::map<Words, Entry> found = ByWords(closed);
    std::map<Words, Entry> expected = ByWords(table);
    AddNaively(&expected);
    ASSERT_EQ(found.size(), expected.size());
    for (const auto& [words, entry] : expected) {
      const auto same = found.find(words);
      ASSERT_NE(same, found.end());
      ASSERT_EQ(std::isnan(same->second.log_prob), std::isnan(entry.log_prob));
      if (!std::isnan(entry.log_prob)) {
        ASSERT_EQ(same->second.log_prob, entry.log_prob);
      }
      ASSERT_EQ(same->second.backoff, entry.backoff);
    }
    EXPECT_TRUE(IsClosed(FindSuffixes(closed)));
  }
}

TEST(SuffixClosureTest, LinksAreSuffixes) {
  const NgramTable table = RandomTable(40, UnseenRule::kBackOff, 4);
  const SuffixLinks links = FindSuffixes(table);
  ASSERT_EQ(links.size(), 3u);
  // The words of the n-grams of each order, by index.
  std::vector<std::vector<Words>> words(4);
  for (const auto& [ngram, unused] : ByWords(table)) {
    words[ngram.size() - 1].push_back(ngram);
  }
  size_t missing = 0;
  for (int k = 2; k <= 4; ++k) {
    for (size_t i = 0; i < words[k - 1].size(); ++i) {
      const Words& ngram = words[k - 1][i];
      const Words suffix(ngram.begin() + 1, ngram.end());
      const uint32_t link = links[k - 2][i];
      if (link != kNoSuffix) {
        ASSERT_EQ(words[k - 2][link], suffix);
      } else {
        ++missing;
        ASSERT_EQ(std::count(words[k - 2].begin(), words[k - 2].end(), suffix),
                  0);
      }
    }
  }
  EXPECT_GT(missing, 100u);
}

}  // namespace
}  // namespace lmserve
