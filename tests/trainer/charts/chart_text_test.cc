// SPDX-License-Identifier: Apache-2.0
#include "trainer/charts/chart_text.h"

#include <cstdint>
#include <string>

#include "gtest/gtest.h"
#include "models/text.h"
#include "models/utf8.h"

namespace lmserve {
namespace {

TEST(XmlText, MarkupIsEscaped) {
  EXPECT_EQ(XmlText("a<b> & \"c\" 'd'"), "a&lt;b&gt; &amp; &quot;c&quot; 'd'");
  EXPECT_EQ(XmlText(""), "");
  EXPECT_EQ(XmlText("caf\u00e9 \u4e2d \U0001F600"),
            "caf\u00e9 \u4e2d \U0001F600");
}

TEST(XmlText, InvalidCharactersAreReplaced) {
  EXPECT_EQ(XmlText("a\xff\xc3 b"), "a\uFFFD\uFFFD b");
  EXPECT_EQ(XmlText("\x1b[0m\t\n"), "\uFFFD[0m\t\n");
  EXPECT_EQ(XmlText(absl::string_view("\0", 1)), "\uFFFD");
  EXPECT_EQ(XmlText("\xef\xbf\xbf\xef\xbf\xbe"), "\uFFFD\uFFFD");
}

TEST(XmlText, LongTextsAreShortenedInTheMiddle) {
  EXPECT_EQ(XmlText("abcdef", 6), "abcdef");
  EXPECT_EQ(XmlText("abcdefg", 6), "abc\u2026fg");
  EXPECT_EQ(XmlText("<<<<<<<<<<", 3), "&lt;\u2026&lt;");
  EXPECT_EQ(XmlText("\u4e2d\u4e2d\u4e2d\u4e2d", 3), "\u4e2d\u2026\u4e2d");
  EXPECT_EQ(XmlText("abc", 1), "\u2026");
}

TEST(XmlText, AnyBytes) {
  std::string bytes;
  for (uint64_t i = 0; i < 100'000; ++i) bytes += static_cast<char>(i * i / 7);
  EXPECT_EQ(FindInvalidUtf8(XmlText(bytes, 1'000'000)),
            absl::string_view::npos);
}

}  // namespace
}  // namespace lmserve
