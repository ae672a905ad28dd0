// SPDX-License-Identifier: Apache-2.0
#include "text_io/sentence_markers.h"

#include "gtest/gtest.h"

namespace lmserve {
namespace {

// A context ends in the middle of a sentence, and a suffix begins there.
TEST(WithoutSentenceMarkersTest, OnOneSide) {
  EXPECT_EQ(WithoutBeginMarker(" <s> the cat </s>"), "the cat </s>");
  EXPECT_EQ(WithoutEndMarker("<s> the cat </s> "), "<s> the cat");
  EXPECT_EQ(WithoutBeginMarker("<s>"), "");
  EXPECT_EQ(WithoutBeginMarker("<s>the"), "<s>the");
  EXPECT_EQ(WithoutEndMarker("the</s>"), "the</s>");
}

TEST(WithoutSentenceMarkersTest, OnlyAroundTheText) {
  for (const char* text : {"<s> a b </s>", "a b </s>", "\t<s> a b"}) {
    EXPECT_EQ(WithoutSentenceMarkers(text), "a b") << text;
  }
  for (const char* text : {"<s> </s>", "<s></s>x", "<s>", "</s>"}) {
    EXPECT_EQ(WithoutSentenceMarkers(text), text[3] == '<' ? text : "") << text;
  }
  for (const char* text : {"", " a ", "<s>a b</s>", "a <s> b", "<s", "s>"}) {
    EXPECT_EQ(WithoutSentenceMarkers(text), text);
  }
}

}  // namespace
}  // namespace lmserve
