// SPDX-License-Identifier: Apache-2.0
#include "reranking/unicode_text.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lmserve {
namespace {

using testing::ElementsAre;

TEST(UnicodeTextTest, ThereAndBack) {
  const std::string text = "a\u00E4\u20AC\U0001F600\u007F\u0080\u07FF\u0800";
  const std::u32string code_points = ToCodePoints(text);
  EXPECT_EQ(code_points, U"a\u00E4\u20AC\U0001F600\u007F\u0080\u07FF\u0800");
  EXPECT_EQ(ToUtf8(code_points), text);
}

TEST(UnicodeTextTest, WhatIsNoCharacterStandsForItself) {
  EXPECT_EQ(ToCodePoints("\xFF"
                         "a"),
            U"\uFFFDa");
  EXPECT_EQ(ToCodePoints("\xC3"), U"\uFFFD");
  EXPECT_EQ(ToCodePoints("\xE2\x82"), U"\uFFFD\uFFFD");
  EXPECT_EQ(ToCodePoints("\xC3"
                         "ab"),
            U"\uFFFDab");
}

TEST(UnicodeTextTest, SplitsAtSpaceOfAllKinds) {
  EXPECT_THAT(SplitAtUnicodeSpace(U" a\u00A0b\u2028\u3000c\x1F"
                                  U"d "),
              ElementsAre("a", "b", "c", "d"));
  EXPECT_THAT(SplitAtUnicodeSpace(U"\u200B"), ElementsAre("\u200B"));
  EXPECT_THAT(SplitAtUnicodeSpace(U" \t"), ElementsAre());
}

}  // namespace
}  // namespace lmserve
