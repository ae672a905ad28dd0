// SPDX-License-Identifier: Apache-2.0
#include "reranking/named_numbers.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lmserve {
namespace {

using testing::ElementsAre;
using testing::Pair;

std::string Problem(const std::vector<std::string>& texts) {
  return std::string(ParseNamedNumbers(texts).status().message());
}

TEST(ParseNamedNumbersTest, SpacesAndCommasSeparate) {
  EXPECT_THAT(
      ParseNamedNumbers({"b=0.5 tm[0]=-1e-3", "a=2,a=b=3,\tc=1\n"}).value(),
      ElementsAre(Pair("a", 2), Pair("a=b", 3), Pair("b", 0.5), Pair("c", 1),
                  Pair("tm[0]", -1e-3)));
  EXPECT_THAT(ParseNamedNumbers({}).value(), ElementsAre());
}

TEST(ParseNamedNumbersTest, OtherFormsAreErrors) {
  for (const std::string text :
       {"", " ", "en", "=1", "en=", "en=much", "en=nan", "en=inf", "a=1 en"}) {
    EXPECT_THAT(Problem({text}), testing::HasSubstr("expected NAME=NUMBER"))
        << text;
  }
}

TEST(ParseNamedNumbersTest, ANameComesOnce) {
  EXPECT_EQ(Problem({"a=1,b=1,a=2"}),
            "expected each name once, found 'a' twice");
  EXPECT_EQ(Problem({"a=1", "a=1"}),
            "expected each name once, found 'a' twice");
}

}  // namespace
}  // namespace lmserve
