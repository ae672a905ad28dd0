// SPDX-License-Identifier: Apache-2.0
#include "trainer/ngram/ngram_counts.h"

#include <map>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/trainer/neural/training.h"

namespace lmserve {
namespace {

using Ngram = std::vector<WordId>;
using Counts = std::map<Ngram, uint32_t>;  // in the order of the levels

// Returns sentences of few different words, some of them unknown, so that
// n-grams of all orders repeat.
std::string RandomText(int seed) {
  std::mt19937 random(seed);
  std::string text;
  for (int sentence = 0; sentence < 60; ++sentence) {
    const int length = 1 + random() % 9;
    for (int i = 0; i < length; ++i) {
      const int word = std::min(random() % 6, random() % 6);
      absl::StrAppend(&text, word == 5 ? "<unk>" : absl::StrCat("w", word),
                      " ");
    }
    text += "\n";
  }
  return text;
}

// Counts the n-grams of an order in the simplest way, sentence by sentence.
Counts CountPlainly(const Corpus& corpus, size_t order) {
  Counts counts;
  for (size_t i = 0; i < corpus.words.size(); ++i) {
    Ngram ngram;
    for (size_t j = i; j < corpus.words.size() && ngram.size() < order; ++j) {
      ngram.push_back(corpus.words[j]);
      if (ngram.size() == order) ++counts[ngram];
      if (corpus.words[j] == corpus.vocabulary.end_sentence()) break;
    }
  }
  return counts;
}

// Computes adjusted counts in the simplest way: the number of different words
// before an n-gram, or its count if its first word is <s>.
Counts AdjustPlainly(const Corpus& corpus, size_t order) {
  std::map<Ngram, std::set<WordId>> before;
  for (const auto& [ngram, count] : CountPlainly(corpus, order + 1)) {
    before[Ngram(ngram.begin() + 1, ngram.end())].insert(ngram[0]);
  }
  Counts adjusted = CountPlainly(corpus, order);
  for (auto& [ngram, count] : adjusted) {
    if (ngram[0] != corpus.vocabulary.begin_sentence()) {
      count = before[ngram].size();
    }
  }
  return adjusted;
}

// Returns the n-grams of one order as words, in the order of the level.
std::vector<Ngram> Spell(const NgramCounts& counts, int order) {
  std::vector<Ngram> ngrams = {{}};
  for (int k = 1; k <= order; ++k) {
    const CountedLevel& level = counts.levels[k - 1];
    std::vector<Ngram> longer;
    for (size_t i = 0; i < ngrams.size(); ++i) {
      const size_t begin = k == 1 ? 0 : counts.levels[k - 2].children[i];
      const size_t end =
          k == 1 ? level.size() : counts.levels[k - 2].children[i + 1];
      for (size_t child = begin; child < end; ++child) {
        longer.push_back(ngrams[i]);
        longer.back().push_back(level.words[child]);
      }
    }
    ngrams = std::move(longer);
  }
  return ngrams;
}

std::vector<std::pair<Ngram, uint32_t>> Pair(
    const std::vector<Ngram>& ngrams, const std::vector<uint32_t>& numbers) {
  EXPECT_EQ(ngrams.size(), numbers.size());
  std::vector<std::pair<Ngram, uint32_t>> pairs;
  for (size_t i = 0; i < ngrams.size(); ++i) {
    pairs.emplace_back(ngrams[i], numbers[i]);
  }
  return pairs;
}

// The parameters are the seed of the text, the highest order and the number of
// threads.
class RandomCountsTest
    : public testing::TestWithParam<std::tuple<int, int, int>> {
 protected:
  const Corpus corpus_ = CorpusOf(RandomText(std::get<0>(GetParam())));
  const int order_ = std::get<1>(GetParam());
  const NgramCounts counts_ =
      CountNgrams(corpus_, order_, std::get<2>(GetParam()));
};

TEST_P(RandomCountsTest, MatchPlainCounting) {
  ASSERT_EQ(counts_.order(), order_);
  EXPECT_EQ(counts_.begin_sentence, corpus_.vocabulary.begin_sentence());
  for (int k = 1; k <= order_; ++k) {
    const Counts expected = CountPlainly(corpus_, k);
    EXPECT_THAT(Pair(Spell(counts_, k), counts_.levels[k - 1].counts),
                testing::ElementsAreArray(expected))
        << "order " << k;
  }
  EXPECT_THAT(counts_.levels.back().children, testing::IsEmpty());
}

TEST_P(RandomCountsTest, SuffixesAreTheNgramsWithoutTheirFirstWords) {
  for (int k = 2; k <= order_; ++k) {
    const std::vector<Ngram> below = Spell(counts_, k - 1);
    const std::vector<Ngram> ngrams = Spell(counts_, k);
    for (size_t i = 0; i < ngrams.size(); ++i) {
      EXPECT_EQ(below[counts_.levels[k - 1].suffixes[i]],
                Ngram(ngrams[i].begin() + 1, ngrams[i].end()));
    }
  }
}

// N-grams at the beginning of a sentence keep their counts. <s> alone has the
// adjusted count 0.
TEST_P(RandomCountsTest, AdjustedCounts) {
  for (int k = 1; k < order_; ++k) {
    std::vector<std::pair<Ngram, uint32_t>> adjusted =
        Pair(Spell(counts_, k), AdjustedCounts(counts_, k));
    Counts expected = AdjustPlainly(corpus_, k);
    if (k == 1) {
      adjusted.erase(adjusted.begin() + counts_.begin_sentence);
      expected.erase({counts_.begin_sentence});
    }
    EXPECT_THAT(adjusted, testing::ElementsAreArray(expected)) << "order " << k;
  }
}

// <s> can only be the first word of an n-gram.
TEST_P(RandomCountsTest, BeginSentenceIsOnlyTheFirstWord) {
  for (int k = 2; k <= order_; ++k) {
    EXPECT_THAT(counts_.levels[k - 1].words,
                testing::Not(testing::Contains(counts_.begin_sentence)));
  }
}

INSTANTIATE_TEST_SUITE_P(SeedsOrdersThreads, RandomCountsTest,
                         testing::Combine(testing::Values(1, 2),
                                          testing::Values(1, 2, 3, 5, 8),
                                          testing::Values(1, 2)));

TEST(NgramCounts, OrderAboveAnySentence) {
  const NgramCounts counts = CountsOf("a b\na\n", 8);
  std::vector<size_t> sizes;
  for (const CountedLevel& level : counts.levels) sizes.push_back(level.size());
  // <unk> <s> </s> a b; "<s> a", "a b", "a </s>", "b </s>"; "<s> a b",
  // "<s> a </s>", "a b </s>"; "<s> a b </s>".
  EXPECT_THAT(sizes, testing::ElementsAre(5, 4, 3, 1, 0, 0, 0, 0));
}

// "a b" occurs three times after <s>, and once each after b and c; "b c" occurs
// twice, always after a.
TEST(NgramCounts, AdjustedCountsByHand) {
  const Corpus corpus = CorpusOf("a b\na b\na b a b c\nc a b c\n");
  const NgramCounts counts = CountNgrams(corpus, 3, 1);
  const auto id = [&](absl::string_view word) {
    return corpus.vocabulary.Find(word);
  };
  std::map<Ngram, uint32_t> adjusted;
  const std::vector<uint32_t> numbers = AdjustedCounts(counts, 2);
  for (const auto& [ngram, number] : Pair(Spell(counts, 2), numbers)) {
    adjusted[ngram] = number;
  }
  EXPECT_EQ((adjusted[{id("a"), id("b")}]), 3u);
  EXPECT_EQ((adjusted[{id("b"), id("c")}]), 1u);
  EXPECT_EQ((adjusted[{id("<s>"), id("a")}]), 3u);  // its plain count
  EXPECT_EQ((adjusted[{id("<s>"), id("c")}]), 1u);
  const std::vector<uint32_t> unigrams = AdjustedCounts(counts, 1);
  EXPECT_EQ(unigrams[id("a")], 3u);     // after <s>, b, c
  EXPECT_EQ(unigrams[id("b")], 1u);     // after a
  EXPECT_EQ(unigrams[id("</s>")], 2u);  // after b, c
  EXPECT_EQ(unigrams[id("<unk>")], 0u);
}

}  // namespace
}  // namespace lmserve
