// SPDX-License-Identifier: Apache-2.0
#include "reranking/word_errors.h"

#include <cmath>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "gtest/gtest.h"

namespace lmserve {
namespace {

WordErrors Count(const std::string& system, const std::string& reference) {
  const std::vector<std::string> a =
      absl::StrSplit(system, ' ', absl::SkipEmpty());
  const std::vector<std::string> b =
      absl::StrSplit(reference, ' ', absl::SkipEmpty());
  return CountWordErrors(a, b);
}

TEST(WordErrorsTest, Kinds) {
  EXPECT_EQ(Count("a b c", "a b c"), (WordErrors{0, 0, 0, 3}));
  EXPECT_EQ(Count("a x c", "a b c"), (WordErrors{1, 0, 0, 3}));
  EXPECT_EQ(Count("a c", "a b c"), (WordErrors{0, 1, 0, 3}));
  EXPECT_EQ(Count("a b x c", "a b c"), (WordErrors{0, 0, 1, 3}));
  EXPECT_EQ(Count("", "a b"), (WordErrors{0, 2, 0, 2}));
  EXPECT_EQ(Count("a b", ""), (WordErrors{0, 0, 2, 0}));
  EXPECT_EQ(Count("b c d", "a b c"), (WordErrors{0, 1, 1, 3}));
}

TEST(WordErrorsTest, SubstitutionsGoBeforePairsOfTheOthers) {
  EXPECT_EQ(Count("x y", "a b"), (WordErrors{2, 0, 0, 2}));
}

TEST(WordErrorsTest, TheRateIsOfTheReference) {
  WordErrors sum = Count("a x c", "a b c");
  sum += Count("a", "a");
  EXPECT_DOUBLE_EQ(WordErrorRate(sum), 25);
  EXPECT_DOUBLE_EQ(WordErrorRate(Count("a b c", "x")), 300);
  EXPECT_EQ(WordErrorRate(Count("", "")), 0);
  EXPECT_TRUE(std::isinf(WordErrorRate(Count("a", ""))));
}

}  // namespace
}  // namespace lmserve
