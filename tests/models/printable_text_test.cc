// SPDX-License-Identifier: Apache-2.0
#include "models/printable_text.h"

#include <string>

#include "gtest/gtest.h"
#include "models/text.h"
#include "models/utf8.h"

namespace lmserve {
namespace {

TEST(PrintableTest, TextStaysAsItIs) {
  for (const char* text : {"", "a b", "M\u00FCller \u20AC \U0001F600", "C:\\x",
                           "'\"", "\u05D0\u0628"}) {
    EXPECT_EQ(Printable(text), text);
  }
}

TEST(PrintableTest, ControlCharactersAreEscaped) {
  EXPECT_EQ(Printable("a\nb\r\tc\x7F"), "a\\x0ab\\x0d\\x09c\\x7f");
  EXPECT_EQ(Printable(absl::string_view("a\0b", 3)), "a\\x00b");
  EXPECT_EQ(Printable("\x1B[31mred"), "\\x1b[31mred");
  // The same as one character, U+009B.
  EXPECT_EQ(Printable("\u009B31m"), "\\xc2\\x9b31m");
  // Separators of lines, and marks that change the direction of the rest.
  EXPECT_EQ(Printable("a\u2028b"), "a\\xe2\\x80\\xa8b");
  EXPECT_EQ(Printable("a\u202Eb"), "a\\xe2\\x80\\xaeb");
  EXPECT_EQ(Printable("a\u2066b"), "a\\xe2\\x81\\xa6b");
}

TEST(PrintableTest, BytesThatAreNotUtf8AreEscaped) {
  EXPECT_EQ(Printable("a\xFF\xC3"), "a\\xff\\xc3");
  EXPECT_EQ(Printable("\xC0\xAF"), "\\xc0\\xaf");           // overlong
  EXPECT_EQ(Printable("\xED\xA0\x80"), "\\xed\\xa0\\x80");  // a surrogate
  EXPECT_EQ(Printable("\xF4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");
  EXPECT_EQ(Printable("\xE2\x82"), "\\xe2\\x82");  // cut off
}

TEST(PrintableTest, LongTextsLoseTheirMiddle) {
  EXPECT_EQ(Printable(std::string(100, 'a'), 100), std::string(100, 'a'));
  EXPECT_EQ(Printable("abcdefghijklmnopqrstuvwxyz", 16), "abcdef ... vwxyz");
  std::string euros;
  for (int i = 0; i < 1000; ++i) euros += "\u20AC";
  std::string all_bytes;
  for (int i = 0; i < 4096; ++i) all_bytes.push_back(static_cast<char>(i * 7));
  for (size_t size = 16; size < 200; ++size) {
    for (const std::string& text :
         {euros, all_bytes, std::string(1 << 20, '\x80'),
          std::string(1000, '\n')}) {
      const std::string shown = Printable(text, size);
      EXPECT_LE(shown.size(), size);
      EXPECT_GE(shown.size(), size / 2);
      EXPECT_EQ(FindInvalidUtf8(shown), absl::string_view::npos);
      EXPECT_EQ(Printable(shown, size), shown);
    }
  }
}

}  // namespace
}  // namespace lmserve
