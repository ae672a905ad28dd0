// SPDX-License-Identifier: Apache-2.0
#include <memory>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ngram_files/arpa.h"

namespace lmserve {
namespace {

// Line 1 is \data\, 6 \1-grams:, 13 \2-grams:, 17 \3-grams:, 20 \end\.
constexpr char kArpa[] =
    "\\data\\\n"
    "ngram 1=5\n"
    "ngram 2=2\n"
    "ngram 3=1\n"
    "\n"
    "\\1-grams:\n"
    "-2\t<unk>\n"
    "-99\t<s>\t-0.5\n"
    "-1.25\t</s>\n"
    "-0.75\ta\t-0.25\n"
    "-1.5\tb\n"
    "\n"
    "\\2-grams:\n"
    "-0.5\t<s> a\t-0.125\n"
    "-1\ta b\n"
    "\n"
    "\\3-grams:\n"
    "-0.375\t<s> a b\n"
    "\n"
    "\\end\\\n";

struct Refused {
  std::string name;
  std::string from;
  std::string to;
  std::string message;
};

class RefusedTest : public testing::TestWithParam<Refused> {};

TEST_P(RefusedTest, NamesTheLine) {
  std::string arpa = kArpa;
  ASSERT_EQ(absl::StrReplaceAll({{GetParam().from, GetParam().to}}, &arpa), 1);
  for (bool strict : {false, true}) {
    const absl::Status status =
        ReadArpa(*LineReader::FromString(arpa), {.strict = strict}).status();
    if (!strict && absl::EndsWith(GetParam().name, "Twice")) {
      EXPECT_TRUE(status.ok()) << status;
      continue;
    }
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(status.message(), absl::StrCat("text line ", GetParam().message));
  }
}

std::string Name(const testing::TestParamInfo<Refused>& info) {
  return info.param.name;
}

INSTANTIATE_TEST_SUITE_P(
    Numbers, RefusedTest,
    testing::Values(
        Refused{"NotANumber", "-1.5\tb", "nan\tb",
                "11: expected a number, found NaN or infinity"},
        Refused{"NotANumberAsBackOff", "a\t-0.25", "a\tnan",
                "10: expected a number, found NaN or infinity"},
        Refused{"InfiniteBackOff", "a\t-0.25", "a\tinf",
                "10: expected a number, found NaN or infinity"},
        Refused{"Positive", "-1\ta b", "0.001\ta b",
                "15: expected a log-probability of at most 0, found 0.001 "
                "(accepted as "
                "0 with --clamp-positive)"},
        Refused{"DecimalComma", "-1.5\tb", "-1,5\tb",
                "11: expected numbers first and last, found '-1,5' and 'b'"},
        Refused{"Word", "-0.75\ta", "x\ta",
                "10: expected numbers first and last, found 'x' and '-0.25'"},
        Refused{"WordAsBackOff", "<s> a\t-0.125", "<s> a b",
                "14: expected numbers first and last, found '-0.5' and 'b'"}),
    Name);

INSTANTIATE_TEST_SUITE_P(
    Ngrams, RefusedTest,
    testing::Values(
        Refused{"TooFewWords", "-0.375\t<s> a b", "-0.375\t<s> a",
                "18: expected a number, 3 words and at most one number, found "
                "3 fields"},
        Refused{"TooManyWords", "-0.375\t<s> a b", "-0.375\t<s> a b b b",
                "18: expected a number, 3 words and at most one number, found "
                "6 fields"},
        Refused{"UnknownWord", "-1\ta b", "-1\ta c",
                "15: expected a word that is a 1-gram, found 'c'"},
        Refused{"ContextMissing", "<s> a b", "b a a",
                "18: expected a context that is a 2-gram, found 'b a'"},
        Refused{"ContextOfAHeldWordMissing", "<s> a b", "a b a\n-1\tb b b",
                "19: expected a context that is a 2-gram, found 'b b'"},
        Refused{"UnigramTwice", "-1.5\tb\n", "-1.5\tb\n-3\ta\n",
                "12: the 1-gram that ends with 'a' occurs for the second "
                "time"},
        Refused{"BigramTwice", "-1\ta b\n", "-1\ta b\n-3\t<s> b\n-3\ta b\n",
                "17: the 2-gram that ends with 'b' occurs for the second "
                "time"},
        Refused{"TrigramTwice", "<s> a b\n", "<s> a b\n\n-0.375\t<s> a b\n",
                "20: the 3-gram that ends with 'b' occurs for the second "
                "time"},
        Refused{"ControlCharacters", "-1\ta b", "-1\ta c\x1B[2J",
                "15: expected a word that is a 1-gram, found 'c\\x1b[2J'"},
        Refused{"InvalidUtf8", "-1.5\tb\n", "-1.5\tb\xFF\n",
                "11: invalid UTF-8"}),
    Name);

INSTANTIATE_TEST_SUITE_P(
    Sections, RefusedTest,
    testing::Values(
        Refused{"NoData", "\\data\\", "data",
                "20: expected \\data\\ of an ARPA file, found the end of the "
                "file"},
        Refused{"NoCounts", "ngram 1=5\nngram 2=2\nngram 3=1\n", "",
                "3: expected ngram 1=COUNT, found '\\1-grams:'"},
        Refused{"CountIsNoNumber", "1=5", "1=x",
                "2: expected ngram ORDER=COUNT, found '1=x'"},
        Refused{"CountIsNegative", "2=2", "2=-2",
                "3: expected ngram ORDER=COUNT, found '2=-2'"},
        Refused{"CountAboveAllNumbers", "2=2", "2=99999999999999999999",
                "3: expected ngram ORDER=COUNT, found "
                "'2=99999999999999999999'"},
        Refused{"CountIsMissing", "1=5", "15",
                "2: expected ngram ORDER=COUNT, found '15'"},
        Refused{"OrderLeftOut", "ngram 2", "ngram 4",
                "3: expected order 2 (32 at most), found 4"},
        Refused{"OrderOfZero", "ngram 1", "ngram 0",
                "2: expected order 1 (32 at most), found 0"},
        Refused{"WrongSection", "\\2-grams:", "\\3-grams:",
                "13: expected \\2-grams:, found '\\3-grams:'"},
        Refused{"NoUnigrams", "\\1-grams:\n", "",
                "6: expected \\1-grams:, found '-2\\t<unk>'"},
        Refused{"HigherThanTheHeader", "ngram 3=1\n", "",
                "16: expected \\end\\, found '\\3-grams:'"},
        Refused{"NoEnd", "\\end\\\n", "",
                "19: expected \\end\\, found the end of the file"},
        Refused{"EndsInASection", "\\3-grams:\n-0.375\t<s> a b\n\n\\end\\\n",
                "", "16: expected \\3-grams:, found the end of the file"}),
    Name);

TEST(ArpaErrors, OrdersAboveTheHighest) {
  std::string arpa = "\\data\\\n";
  for (int k = 1; k <= 33; ++k) absl::StrAppend(&arpa, "ngram ", k, "=1\n");
  EXPECT_EQ(ReadArpa(*LineReader::FromString(arpa), {}).status().message(),
            "text line 34: expected order 33 (32 at most), found 33");
}

TEST(ArpaErrors, EmptyFile) {
  EXPECT_EQ(
      ReadArpa(*LineReader::FromString(""), {}).status().message(),
      "text line 0: expected \\data\\ of an ARPA file, found the end of the "
      "file");
}

}  // namespace
}  // namespace lmserve
