// SPDX-License-Identifier: Apache-2.0
#include "reranking/chrf.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lmserve {
namespace {

using testing::ElementsAre;

TEST(ChrfTest, CountsCharactersWithoutSpace) {
  const ChrfCounts counts = CountChrf("ab ab\u00A0c", "a babd");
  EXPECT_THAT(counts.system, ElementsAre(5, 4, 3, 2, 1, 0));
  EXPECT_THAT(counts.reference, ElementsAre(5, 4, 3, 2, 1, 0));
  EXPECT_THAT(counts.correct, ElementsAre(4, 3, 2, 1, 0, 0));
}

TEST(ChrfTest, ByHand) {
  // Precision and recall are 4/5, 3/4, 2/3, 1/2 and 0 for the five orders.
  const double mean = (4.0 / 5 + 3.0 / 4 + 2.0 / 3 + 1.0 / 2) / 5;
  EXPECT_NEAR(Chrf(CountChrf("ab abc", "ababd")), 100 * mean, 1e-9);
}

// The weight of recall is four times that of precision (beta squared).
TEST(ChrfTest, RecallCountsMore) {
  // "ab" against "abcd": precisions 1 and 1, recalls 2/4 and 1/3.
  const double recall = (1.0 / 2 + 1.0 / 3) / 2;
  EXPECT_NEAR(Chrf(CountChrf("ab", "abcd")), 100 * 5 * recall / (4 + recall),
              1e-9);
}

// A text that is longer than the reference has n-grams of orders that the
// reference does not have.
TEST(ChrfTest, OrdersOfOneSideAloneDoNotCount) {
  const ChrfCounts counts = CountChrf("abcdef", "ab");
  EXPECT_THAT(counts.system, ElementsAre(6, 5, 0, 0, 0, 0));
  const double precision = (2.0 / 6 + 1.0 / 5) / 2;
  EXPECT_NEAR(Chrf(counts), 100 * 5 * precision / (4 * precision + 1), 1e-9);
}

TEST(ChrfTest, CharactersAreCodePoints) {
  EXPECT_THAT(CountChrf("\u00E4\u20AC", "\u00E4\u20AC").correct,
              ElementsAre(2, 1, 0, 0, 0, 0));
}

TEST(ChrfTest, TheSameTextHasAHundredAndAnotherNothing) {
  EXPECT_NEAR(Chrf(CountChrf("the cat", "the cat")), 100, 1e-9);
  EXPECT_EQ(Chrf(CountChrf("abc", "xyz")), 0);
  EXPECT_EQ(Chrf(CountChrf("", "xyz")), 0);
  EXPECT_EQ(Chrf(CountChrf("abc", "")), 0);
}

TEST(ChrfTest, ACorpusIsTheSumOfItsTexts) {
  ChrfCounts sum = CountChrf("ab", "ab");
  sum += CountChrf("c", "d");
  EXPECT_THAT(sum.system, ElementsAre(3, 1, 0, 0, 0, 0));
  EXPECT_NEAR(Chrf(sum), 100 * (2.0 / 3 + 1) / 2, 1e-9);
}

}  // namespace
}  // namespace lmserve
