// SPDX-License-Identifier: Apache-2.0
#include "models/utf8.h"

#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"

namespace lmserve {
namespace {

constexpr size_t kValid = absl::string_view::npos;

// One line of table 3-7 of the Unicode Standard, "Well-Formed UTF-8 Byte
// Sequences": the lowest and highest value of each byte.
struct Line {
  std::vector<std::pair<int, int>> bytes;
};

const Line kTable[] = {
    {{{0x00, 0x7F}}},
    {{{0xC2, 0xDF}, {0x80, 0xBF}}},
    {{{0xE0, 0xE0}, {0xA0, 0xBF}, {0x80, 0xBF}}},
    {{{0xE1, 0xEC}, {0x80, 0xBF}, {0x80, 0xBF}}},
    {{{0xED, 0xED}, {0x80, 0x9F}, {0x80, 0xBF}}},
    {{{0xEE, 0xEF}, {0x80, 0xBF}, {0x80, 0xBF}}},
    {{{0xF0, 0xF0}, {0x90, 0xBF}, {0x80, 0xBF}, {0x80, 0xBF}}},
    {{{0xF1, 0xF3}, {0x80, 0xBF}, {0x80, 0xBF}, {0x80, 0xBF}}},
    {{{0xF4, 0xF4}, {0x80, 0x8F}, {0x80, 0xBF}, {0x80, 0xBF}}},
};

bool InTable(const std::string& bytes) {
  for (const Line& line : kTable) {
    if (line.bytes.size() != bytes.size()) continue;
    bool fits = true;
    for (size_t i = 0; i < bytes.size(); ++i) {
      const int byte = static_cast<unsigned char>(bytes[i]);
      fits =
          fits && byte >= line.bytes[i].first && byte <= line.bytes[i].second;
    }
    if (fits) return true;
  }
  return false;
}

// The byte values on both sides of every limit in the table, and some others.
const int kBorders[] = {0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF,
                        0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xEC, 0xED, 0xEE,
                        0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xF8, 0xFF};

TEST(Utf8Test, ValidUtf8IsWhatTheTableAllows) {
  int valid = 0, invalid = 0;
  // Checks one sequence of up to 4 bytes. The loops below only make sequences
  // that are not a concatenation of shorter valid sequences.
  const auto check = [&](const std::string& bytes) {
    const bool expected = InTable(bytes);
    ASSERT_EQ(FindInvalidUtf8(bytes), expected ? kValid : 0u)
        << testing::PrintToString(bytes);
    ++(expected ? valid : invalid);
  };
  for (int byte = 0; byte < 256; ++byte) check(std::string(1, byte));
  for (int a : kBorders) {
    if (a < 0x80) continue;
    for (int b : kBorders) {
      check({static_cast<char>(a), static_cast<char>(b)});
      if (a < 0xE0) continue;
      for (int c : kBorders) {
        check(
            {static_cast<char>(a), static_cast<char>(b), static_cast<char>(c)});
        if (a < 0xF0) continue;
        for (int d : kBorders) {
          check({static_cast<char>(a), static_cast<char>(b),
                 static_cast<char>(c), static_cast<char>(d)});
        }
      }
    }
  }
  EXPECT_GT(valid, 500);
  EXPECT_GT(invalid, 50000);
}

TEST(Utf8Test, FindsTheFirstInvalidByte) {
  const struct {
    const char* text;
    size_t expected;
  } cases[] = {
      {"", kValid},
      {"abc", kValid},
      {"\xc3\xa9t\xc3\xa9", kValid},
      {"\xf0\x9f\x90\x88 cat", kValid},
      {"ab\xff", 2},
      {"\xc3\xa9\xc3", 2},
      {"a\xe2\x82", 1},
      {"a\xf0\x9f\x90", 1},
      {"a\xed\xa0\x80", 1},        // a surrogate
      {"ab\xc0\xaf", 2},           // overlong
      {"abc\xf4\x90\x80\x80", 3},  // above U+10FFFF
      {"\xc3\xa9\x80", 2},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(FindInvalidUtf8(c.text), c.expected)
        << testing::PrintToString(c.text);
  }
}

}  // namespace
}  // namespace lmserve
