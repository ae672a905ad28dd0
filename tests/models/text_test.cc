// SPDX-License-Identifier: Apache-2.0
#include "models/text.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lmserve {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(TextTest, SplitsAtAsciiSpaceAndNul) {
  using namespace std::string_literals;
  const std::string text = " a b\tc\nd\ve\ff\rg\0h \t i  "s;
  EXPECT_THAT(SplitWords(text),
              ElementsAre("a", "b", "c", "d", "e", "f", "g", "h", "i"));
}

TEST(TextTest, NothingButSpacesHasNoWords) {
  using namespace std::string_literals;
  for (const std::string& text : {""s, " "s, "\0"s, " \t\r\n\v\f\0"s}) {
    EXPECT_THAT(SplitWords(text), IsEmpty());
  }
}

TEST(TextTest, OtherBytesAreWords) {
  // No-break space, ideographic space, next line, line separator, zero-width
  // space; and the control characters around the separators.
  for (absl::string_view space :
       {"\xc2\xa0", "\xe3\x80\x80", "\xc2\x85", "\xe2\x80\xa8", "\xe2\x80\x8b",
        "\x1c", "\x1f", "\x08", "\x0e", "\x7f", "\xff"}) {
    const std::string word = absl::StrCat("a", space, "b");
    EXPECT_THAT(SplitWords(word), ElementsAre(word));
  }
}

TEST(TextTest, FindsEachSpaceAtEachPlace) {
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    for (size_t size = 1; size <= 20; ++size) {
      for (char other : {'a', '\x08', '\x0E', '\x1F', '!', '\x7F', '\x80',
                         '\x89', '\xA0', '\xFF'}) {
        for (size_t place = 0; place < size; ++place) {
          std::string text(size, other);
          text[place] = c;
          EXPECT_EQ(FindSpace(text, 0), IsSpace(c) ? place : size)
              << byte << " " << size << " " << place;
          EXPECT_EQ(FindSpace(text, place + 1), size);
        }
      }
    }
  }
  EXPECT_EQ(FindSpace("", 0), 0u);
  EXPECT_EQ(FindSpace("a  b", 2), 2u);
}

TEST(TextTest, IsWordAcceptsExactlyOneWord) {
  for (const char* word : {"the", "</s>", "the\u00a0cat"}) {
    EXPECT_TRUE(IsWord(word)) << word;
  }
  for (const char* text : {"", " ", "the cat", " the", "the\n"}) {
    EXPECT_FALSE(IsWord(text)) << text;
  }
}

TEST(TextTest, ViewsAreParts) {
  const std::string text = "the cat";
  const std::vector<absl::string_view> words = SplitWords(text);
  ASSERT_EQ(words.size(), 2u);
  EXPECT_EQ(words[1].data(), text.data() + 4);
}

}  // namespace
}  // namespace lmserve
