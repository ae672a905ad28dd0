// SPDX-License-Identifier: Apache-2.0
#include "client/text_source.h"

#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lmserve {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

template <typename Source>
std::vector<std::string> Texts(Source& source) {
  std::vector<std::string> texts;
  for (std::string text; source.Next(&text);) texts.push_back(text);
  return texts;
}

// A source of lines.
template <typename Source>
Source Lines(std::string text) {
  return Source(LineReader::FromString(std::move(text)));
}

TEST(TextSourceTest, Arguments) {
  TextSource source({"the cat", " \t", "a dog\r", ""});
  EXPECT_THAT(Texts(source), ElementsAre("the cat", " \t", "a dog\r", ""));
  EXPECT_EQ(source.number(), 4u);
  EXPECT_EQ(source.Name(2), "text 2");
}

TEST(TextSourceTest, LinesWithoutCarriageReturns) {
  auto source = Lines<TextSource>("\xEF\xBB\xBFthe cat\r\n\n \t\r\n  a dog ");
  EXPECT_THAT(Texts(source), ElementsAre("the cat", "", " \t", "  a dog "));
  EXPECT_EQ(source.Name(2), "line 2");
  EXPECT_TRUE(source.status().ok());
}

TEST(TextSourceTest, SkipsBlankTextsOnRequest) {
  auto source = Lines<TextSource>("\nthe cat\n \r\na dog\n\n");
  std::string text;
  ASSERT_TRUE(source.NextNotBlank(&text));
  EXPECT_EQ(text, "the cat");
  ASSERT_TRUE(source.NextNotBlank(&text));
  EXPECT_EQ(text, "a dog");
  EXPECT_EQ(source.number(), 4u);
  EXPECT_FALSE(source.NextNotBlank(&text));
}

TEST(TextSourceTest, ErrorsOfTheInput) {
  auto source = Lines<TextSource>(std::string("a\0b\0\n\0", 6));
  EXPECT_THAT(Texts(source), IsEmpty());
  EXPECT_THAT(source.status().message(), testing::HasSubstr("UTF-16LE"));
}

TEST(ArgumentsOrLinesTest, ReturnsTextsUnchanged) {
  ArgumentsOrLines arguments({"the cat\r", ""});
  EXPECT_THAT(Texts(arguments), ElementsAre("the cat\r", ""));
  auto lines = Lines<ArgumentsOrLines>("the cat\r\n\n a dog");
  EXPECT_THAT(Texts(lines), ElementsAre("the cat\r", "", " a dog"));
}

}  // namespace
}  // namespace lmserve
