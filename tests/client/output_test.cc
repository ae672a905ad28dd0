// SPDX-License-Identifier: Apache-2.0
#include "client/output.h"

#include <limits>

#include "gtest/gtest.h"

namespace lmserve {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

TEST(JsonNumberTest, InfiniteAndNanAreNull) {
  EXPECT_EQ(JsonNumber(kInfinity).dump(), "null");
  EXPECT_EQ(JsonNumber(-kInfinity).dump(), "null");
  EXPECT_EQ(JsonNumber(std::numeric_limits<double>::quiet_NaN()).dump(),
            "null");
}

TEST(JsonNumberTest, FiniteNumbersAreExact) {
  for (double value : {0.0, -1.5, 1.0 / 3, 1e300, -5e-324}) {
    const auto parsed = nlohmann::json::parse(JsonNumber(value).dump());
    EXPECT_EQ(parsed.get<double>(), value);
  }
}

TEST(FormatDecimalTest, HasFourDecimals) {
  EXPECT_EQ(FormatDecimal(-1.5), "-1.5000");
  EXPECT_EQ(FormatDecimal(2.0 / 3), "0.6667");
  EXPECT_EQ(FormatDecimal(12345), "12345.0000");
  EXPECT_EQ(FormatDecimal(-kInfinity), "-inf");
}

TEST(TextTableTest, AlignsTheLastColumnLeftAndOthersRight) {
  TextTable table({"rank", "score", "text"});
  table.Add({"1", "-1.5000", "i have"});
  table.Add({"10", "-12.5000", "i"});
  EXPECT_EQ(table.ToString(),
            "rank     score  text\n"
            "   1   -1.5000  i have\n"
            "  10  -12.5000  i\n");
}

TEST(TextTableTest, HeaderOnly) {
  EXPECT_EQ(TextTable({"model", "version"}).ToString(), "model  version\n");
}

TEST(TextTableTest, MeasuresCharactersNotBytes) {
  TextTable table({"model", "x"});
  table.Add({"caf\u00e9s", "1"});  // 5 characters, 6 bytes
  table.Add({"\u8a9e", "2"});
  EXPECT_EQ(table.ToString(),
            "model  x\n"
            "caf\u00e9s  1\n"
            "    \u8a9e  2\n");
}

TEST(TextTableTest, RowWithFewerCells) {
  TextTable table({"a", "b", "c"});
  table.Add({"1"});
  EXPECT_EQ(table.ToString(), "a  b  c\n1\n");
}

TEST(TextTableTest, CellsArePrintable) {
  TextTable table({"a"});
  table.Add({"x\x1B[2J"});
  EXPECT_EQ(table.ToString(), "a\nx\\x1b[2J\n");
}

TEST(ForPeopleTest, OnlyATerminalNeedsEscapes) {
  EXPECT_EQ(ForPeople("M\u00FCller\x1B", /*is_terminal=*/true),
            "M\u00FCller\\x1b");
  EXPECT_EQ(ForPeople("M\u00FCller\x1B", /*is_terminal=*/false),
            "M\u00FCller\x1B");
}

}  // namespace
}  // namespace lmserve
