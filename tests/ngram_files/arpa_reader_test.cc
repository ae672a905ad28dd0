// SPDX-License-Identifier: Apache-2.0
#include <clocale>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "models/ngram/fast/ngram_builder.h"
#include "ngram_files/arpa.h"
#include "tests/testing/ngram_models.h"
#include "tests/testing/temporary_directory.h"
#include "tests/text_io/compress.h"

namespace lmserve {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// Line 1 is \data\, 6 \1-grams:, 13 \2-grams:, 18 \3-grams:, 21 \end\.
constexpr char kArpa[] =
    "\\data\\\n"
    "ngram 1=5\n"
    "ngram 2=3\n"
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
    "-0.25\tb </s>\n"
    "\n"
    "\\3-grams:\n"
    "-0.375\t<s> a b\n"
    "\n"
    "\\end\\\n";

std::string Replaced(absl::string_view from, absl::string_view to) {
  std::string arpa = kArpa;
  EXPECT_EQ(absl::StrReplaceAll({{from, to}}, &arpa), 1) << from;
  return arpa;
}

absl::StatusOr<ImportedNgrams> Read(std::string arpa,
                                    const ArpaOptions& options = {}) {
  return ReadArpa(*LineReader::FromString(std::move(arpa)), options);
}

// The bytes of the model and of its vocabulary.
std::string Bytes(const ImportedNgrams& model) {
  return absl::StrCat(model.vocabulary.text(),
                      BuildNgramFile(model.table).value());
}

// Class definitions of SRILM, for example, would make it another model.
TEST(ArpaReader, WhatFollowsTheModelIsAWarning) {
  for (const std::string& rest :
       {std::string("\nclass definitions\n-1\n"), std::string(kArpa)}) {
    const std::string text = absl::StrCat(kArpa, rest);
    const absl::StatusOr<ImportedNgrams> model = Read(text);
    ASSERT_TRUE(model.ok()) << model.status();
    ASSERT_EQ(model->warnings.size(), 1u);
    EXPECT_THAT(model->warnings[0],
                HasSubstr("everything after \\end\\ ignored, from line 2"));
    EXPECT_EQ(Bytes(*model), Bytes(Read(kArpa).value()));
    EXPECT_FALSE(Read(text, {.strict = true}).ok());
  }
}

// Expects that a text is read as the model of kArpa, without warnings.
void ExpectSameModel(const std::string& arpa) {
  const absl::StatusOr<ImportedNgrams> model = Read(arpa);
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_THAT(model->warnings, IsEmpty());
  EXPECT_EQ(Bytes(*model), Bytes(Read(kArpa).value()));
}

// log10 P and the matched length of each word, after <s>.
struct Score {
  double log10;
  int order;
};

std::vector<Score> ScoreWords(const NgramModel& model,
                              const std::vector<absl::string_view>& words) {
  std::vector<std::byte> state(model.state_size());
  model.Start(state.data());
  std::vector<Score> scores;
  for (absl::string_view word : words) {
    const NgramModel::Step step =
        model.ScoreWord(state.data(), model.vocabulary().Find(word));
    scores.push_back({step.log_prob / kLn10, step.order});
  }
  return scores;
}

MATCHER_P2(Scored, log10, order, "") {
  return arg.order == order && std::abs(arg.log10 - log10) < 1e-6;
}

float UnigramLog10(const ImportedNgrams& model, absl::string_view word) {
  return model.table.levels[0].log_probs[model.vocabulary.Find(word)] / kLn10;
}

TEST(ArpaReader, TheNumbers) {
  const BuiltNgramModel built = BuildFromArpa(kArpa);
  EXPECT_EQ(built.model->order(), 3);
  EXPECT_THAT(
      ScoreWords(*built.model, {"a", "b", "</s>"}),
      ElementsAre(Scored(-0.5, 2), Scored(-0.375, 3), Scored(-0.25, 2)));
  EXPECT_THAT(ScoreWords(*built.model, {"b", "a", "a", "x"}),
              ElementsAre(Scored(-0.5 - 1.5, 1), Scored(-0.75, 1),
                          Scored(-0.25 - 0.75, 1), Scored(-0.25 - 2, 1)));
}

struct Variant {
  std::string name;
  std::string arpa;
};

class VariantTest : public testing::TestWithParam<Variant> {};

TEST_P(VariantTest, IsTheSameModel) { ExpectSameModel(GetParam().arpa); }

INSTANTIATE_TEST_SUITE_P(
    Texts, VariantTest,
    testing::Values(
        Variant{"SpacesForTabs", absl::StrReplaceAll(kArpa, {{"\t", "  "}})},
        Variant{"CrLf", absl::StrReplaceAll(kArpa, {{"\n", "\r\n"}})},
        Variant{"TextBefore", absl::StrCat("# made by hand\n\nfree text\n"
                                           "ngram 1=7\n\\1-grams:\n",
                                           kArpa)},
        Variant{"NoBlankLines", absl::StrReplaceAll(kArpa, {{"\n\n", "\n"}})},
        Variant{"NoLastLineFeed", Replaced("\\end\\\n", "\\end\\")},
        Variant{"SpacedHeader",
                absl::StrReplaceAll(kArpa, {{"ngram 1=", "ngram  1=      "},
                                            {"ngram 2=", "ngram 2 = "}})},
        Variant{"UpperCaseUnk", Replaced("<unk>", "<UNK>")},
        // -0 is the same as 0.
        Variant{
            "BackOffOfZero",
            absl::StrReplaceAll(kArpa, {{"</s>\n-0.75", "</s>\t0\n-0.75"},
                                        {"\tb\n\n", "\tb\t0\n\n"},
                                        {"a b\n-0.25", "a b\t0.0\n-0.25"}})},
        Variant{"MinusInfinity", Replaced("-99", "-inf")},
        // <s> is never predicted, whatever its probability in the file.
        Variant{"BeginSentenceAsKenlmHasIt", Replaced("-99\t<s>", "0\t<s>")},
        Variant{"BeginSentenceAsIrstlmHasIt", Replaced("-99\t", "-1.5\t")},
        Variant{
            "OtherOrderOfBigrams",
            absl::StrReplaceAll(kArpa, {{"-0.5\t<s> a\t-0.125\n-1\ta b\n",
                                         "-1\ta b\n-0.5\t<s> a\t-0.125\n"}})},
        Variant{"BackOffAtTheHighestOrder", Replaced("<s> a b", "<s> a b\t-7")},
        Variant{"Exponent", Replaced("-0.375", "-3.75E-1")}),
    [](const auto& info) { return info.param.name; });

// The state after a text is the same, too.
TEST(ArpaReader, BackOffOfMinusZeroLeavesTheSameStates) {
  const BuiltNgramModel plain = BuildFromArpa(kArpa);
  const BuiltNgramModel zeros =
      BuildFromArpa(Replaced("a b\n-0.25", "a b\t-0\n-0.25"));
  std::vector<std::byte> state(plain.model->state_size()), other(state);
  plain.model->Start(state.data());
  zeros.model->Start(other.data());
  for (absl::string_view word : {"a", "b", "a", "x", "b", "</s>"}) {
    const WordId id = plain.model->vocabulary().Find(word);
    EXPECT_EQ(plain.model->ScoreWord(state.data(), id).log_prob,
              zeros.model->ScoreWord(other.data(), id).log_prob);
    EXPECT_EQ(state, other) << word;
  }
}

TEST(ArpaReader, CompressedFiles) {
  const TemporaryDirectory directory;
  const std::string path = directory.File("model");
  for (const std::string& bytes :
       {std::string(kArpa), Gzip(kArpa), Xz(kArpa)}) {
    WriteBytes(path, bytes);
    EXPECT_EQ(Bytes(ReadArpa(**LineReader::Open(path), {}).value()),
              Bytes(Read(kArpa).value()));
  }
  WriteBytes(path, Gzip(kArpa).substr(0, 60));
  EXPECT_EQ(ReadArpa(**LineReader::Open(path), {}).status().code(),
            absl::StatusCode::kDataLoss);
}

// A text that is accepted with a warning.
struct Warned {
  std::string name;
  std::string arpa;
  std::string warning;
};

class WarnedTest : public testing::TestWithParam<Warned> {};

TEST_P(WarnedTest, IsTheSameModel) {
  const absl::StatusOr<ImportedNgrams> model = Read(GetParam().arpa);
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_THAT(model->warnings, ElementsAre(GetParam().warning));
  EXPECT_EQ(Bytes(*model), Bytes(Read(kArpa).value()));
}

INSTANTIATE_TEST_SUITE_P(
    Texts, WarnedTest,
    testing::Values(
        Warned{"CountTooHigh", Replaced("ngram 2=3", "ngram 2=4"),
               "the header announces 4 2-grams, the file has 3"},
        Warned{"CountTooLow", Replaced("ngram 1=5", "ngram 1=1"),
               "the header announces 1 1-grams, the file has 5"},
        // Memory is not allocated by the count in the header.
        Warned{"CountOfATrillion",
               Replaced("ngram 3=1", "ngram 3=1000000000000"),
               "the header announces 1000000000000 3-grams, the file has 1"},
        Warned{"BeginSentenceInside",
               absl::StrReplaceAll(kArpa, {{"ngram 2=3", "ngram 2=5"},
                                           {"-1\ta b\n",
                                            "-1\ta b\n-1.5\t<s> <s>\n"
                                            "-2\tb <s>\n"}}),
               "2 n-grams with <s> after the first word ignored"},
        Warned{"UnigramTwice",
               absl::StrReplaceAll(kArpa, {{"ngram 1=5", "ngram 1=6"},
                                           {"-1.5\tb\n", "-1.5\tb\n-3\ta\n"}}),
               "line 12: the 1-gram that ends with 'a' occurs for the second "
               "time; the first one counts"},
        Warned{
            "BigramTwice",
            absl::StrReplaceAll(kArpa, {{"ngram 2=3", "ngram 2=4"},
                                        {"-1\ta b\n", "-1\ta b\n-3\ta b\n"}}),
            "line 16: the 2-gram that ends with 'b' occurs for the second "
            "time; the first one counts"},
        Warned{"SecondUnknownAfter",
               absl::StrReplaceAll(kArpa,
                                   {{"ngram 1=5", "ngram 1=6"},
                                    {"ngram 2=3", "ngram 2=4"},
                                    {"-1.5\tb\n", "-1.5\tb\n-3\t<UNK>\n"},
                                    {"-1\ta b\n", "-1\ta b\n-3\ta <UNK>\n"}}),
               "2 n-grams with <UNK> left out, the first in line 12, because "
               "the file has <unk>, too"},
        Warned{"SecondUnknownBefore",
               absl::StrReplaceAll(kArpa, {{"ngram 1=5", "ngram 1=6"},
                                           {"-2\t<unk>\n",
                                            "-3\t<UNK>\t-1\n-2\t<unk>\n"}}),
               "1 n-grams with <UNK> left out, the first in line 7, because "
               "the file has <unk>, too"},
        Warned{
            "FormFeedInAWord",
            absl::StrReplaceAll(kArpa,
                                {{"ngram 1=5", "ngram 1=7"},
                                 {"ngram 2=3", "ngram 2=4"},
                                 {"-1.5\tb\n", "-1.5\tb\n-3\ta\f5\n-3\t\v\n"},
                                 {"-1\ta b\n", "-1\ta b\n-3\ta \v\n"}}),
            "3 n-grams left out, the first in line 12, because a word "
            "contains a form feed or a vertical tab, at which texts are "
            "split"}),
    [](const auto& info) { return info.param.name; });

TEST(ArpaReader, NoUnknownWord) {
  const std::string arpa = absl::StrReplaceAll(
      kArpa, {{"-2\t<unk>\n", ""}, {"ngram 1=5", "ngram 1=4"}});
  const ImportedNgrams model = Read(arpa).value();
  EXPECT_FLOAT_EQ(UnigramLog10(model, "<unk>"), -100);
  EXPECT_THAT(model.warnings,
              ElementsAre("the file has no <unk>; using the log10 "
                          "probability -100 (see --unknown-log10)"));
  ArpaOptions options;
  options.unknown_log10 = -7.5;
  EXPECT_FLOAT_EQ(UnigramLog10(Read(arpa, options).value(), "<unk>"), -7.5);
  // Who gives the probability need not be warned.
  options.strict = true;
  const absl::StatusOr<ImportedNgrams> strict = Read(arpa, options);
  ASSERT_TRUE(strict.ok()) << strict.status();
  EXPECT_THAT(strict->warnings, IsEmpty());
}

// What is only a warning is an error on request.
TEST_P(WarnedTest, StrictRefuses) {
  const absl::Status status = Read(GetParam().arpa, {.strict = true}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("text"));
}

TEST(ArpaReader, UnknownWordOfProbabilityZero) {
  for (const char* unknown : {"<unk>", "<UNK>"}) {
    const std::string arpa =
        Replaced("-2\t<unk>", absl::StrCat("-99\t", unknown));
    const ImportedNgrams impossible = Read(arpa).value();
    EXPECT_EQ(UnigramLog10(impossible, "<unk>"), -INFINITY);
    EXPECT_THAT(impossible.warnings,
                ElementsAre("<unk> has the probability 0, so every text with "
                            "an unknown word is impossible (see "
                            "--unknown-log10)"));
    const ImportedNgrams model = Read(arpa, {.unknown_log10 = -5}).value();
    EXPECT_FLOAT_EQ(UnigramLog10(model, "<unk>"), -5);
    EXPECT_THAT(model.warnings, IsEmpty());
  }
  const ImportedNgrams model = Read(kArpa, {.unknown_log10 = -5}).value();
  EXPECT_FLOAT_EQ(UnigramLog10(model, "<unk>"), -2);
  EXPECT_THAT(model.warnings,
              ElementsAre("--unknown-log10 ignored: the file gives <unk> the "
                          "log10 probability -2"));
}

// The first n-grams that occur twice are named, the others counted.
TEST(ArpaReader, ManyNgramsTwice) {
  std::string twice = "-1.5\tb\n";
  for (int i = 0; i < 1000; ++i) twice += "-3\tb\n";
  const ImportedNgrams model =
      Read(absl::StrReplaceAll(
               kArpa, {{"ngram 1=5", "ngram 1=1005"}, {"-1.5\tb\n", twice}}))
          .value();
  EXPECT_EQ(model.warnings.size(), 11u);
  EXPECT_EQ(model.warnings.back(),
            "990 more n-grams occur for the second time");
}

TEST(ArpaReader, NoSentenceMarkers) {
  const ImportedNgrams model =
      Read("\\data\\\nngram 1=2\n\n\\1-grams:\n-1\t<unk>\n-0.5\ta\n\\end\\\n")
          .value();
  EXPECT_EQ(model.warnings.size(), 2u);
  EXPECT_EQ(model.warnings[1],
            "the file has no </s>; using the log10 probability -100; it lowers "
            "ln P of each whole text by 230, so score texts with lm_client "
            "score --no-end");
  // No sentence would be possible otherwise.
  EXPECT_FLOAT_EQ(UnigramLog10(model, "</s>"), -100);
  EXPECT_TRUE(model.vocabulary.Contains("<s>"));
}

TEST(ArpaReader, ProbabilityOfZero) {
  for (const char* zero : {"-99", "-99.0", "-inf"}) {
    const ImportedNgrams model =
        Read(Replaced("-1.5\tb", absl::StrCat(zero, "\tb"))).value();
    EXPECT_EQ(UnigramLog10(model, "b"), -INFINITY) << zero;
    const BuiltNgramModel built =
        BuildFromArpa(Replaced("-1.5\tb", absl::StrCat(zero, "\tb")));
    EXPECT_THAT(ScoreWords(*built.model, {"a", "b"}),
                ElementsAre(Scored(-0.5, 2), Scored(-0.375, 3)));
  }
}

TEST(ArpaReader, PositiveLogProbabilitiesAreClampedOnRequest) {
  ArpaOptions clamp;
  clamp.clamp_positive = true;
  const ImportedNgrams model =
      Read(absl::StrReplaceAll(
               kArpa, {{"-1.5\tb", "0.25\tb"}, {"-1\ta b", "1e-3\ta b"}}),
           clamp)
          .value();
  EXPECT_EQ(UnigramLog10(model, "b"), 0);
  EXPECT_THAT(model.warnings,
              ElementsAre("2 positive log-probabilities replaced by 0"));
  EXPECT_FALSE(Read(Replaced("-1.5\tb", "inf\tb"), clamp).ok());
}

// SRILM's pruning may remove "b c" but keep "a b c". Then "b c" is not a match
// for "x b c", and its back-off weight does not apply.
TEST(ArpaReader, SuffixesMayBeMissing) {
  const BuiltNgramModel built = BuildFromArpa(R"(\data\
ngram 1=7
ngram 2=3
ngram 3=1

\1-grams:
-2 <unk>
-99 <s> -0.5
-1.25 </s>
-0.75 a -0.25
-1.5 b -0.375
-1.75 c -0.0625
-1 x

\2-grams:
-0.5 a b -0.125
-0.625 x b -0.25
-0.875 c a

\3-grams:
-0.1875 a b c

\end\
)");
  EXPECT_THAT(
      ScoreWords(*built.model, {"a", "b", "c", "a", "c"}),
      ElementsAre(Scored(-0.5 - 0.75, 1), Scored(-0.5, 2), Scored(-0.1875, 3),
                  Scored(-0.875, 2), Scored(-0.25 - 1.75, 1)));
  EXPECT_THAT(
      ScoreWords(*built.model, {"x", "b", "c", "x"}),
      ElementsAre(Scored(-0.5 - 1, 1), Scored(-0.625, 2),
                  Scored(-0.25 - 0.375 - 1.75, 1), Scored(-0.0625 - 1, 1)));
}

TEST(ArpaReader, OrderOneAndAnEmptyOrder) {
  const char* const arpa =
      "\\data\\\nngram 1=4\n\n\\1-grams:\n-1\t<unk>\n0\t<s>\n-0.5\t</s>\n"
      "-0.75\ta\n\n\\end\\\n";
  EXPECT_THAT(ScoreWords(*BuildFromArpa(arpa).model, {"a", "</s>"}),
              ElementsAre(Scored(-0.75, 1), Scored(-0.5, 1)));
  const BuiltNgramModel empty = BuildFromArpa(absl::StrReplaceAll(
      arpa, {{"1=4\n", "1=4\nngram 2=0\n"}, {"\\end", "\\2-grams:\n\n\\end"}}));
  EXPECT_EQ(empty.model->order(), 2);
  EXPECT_THAT(ScoreWords(*empty.model, {"a", "</s>"}),
              ElementsAre(Scored(-0.75, 1), Scored(-0.5, 1)));
}

TEST(ArpaReader, WordsThatLookLikeSomethingElse) {
  const ImportedNgrams model =
      Read(absl::StrReplaceAll(kArpa, {{"\ta", "\t\\end\\"},
                                       {" a", " \\end\\"},
                                       {"\tb", "\t-0.5"},
                                       {" b", " -0.5"}}))
          .value();
  EXPECT_EQ(model.vocabulary.word(3), "\\end\\");
  EXPECT_EQ(model.vocabulary.word(4), "-0.5");
  EXPECT_EQ(model.table.levels[2].size(), 1u);
}

// Numbers are parsed with a decimal point in every locale.
TEST(ArpaReader, IgnoresTheLocale) {
  const std::string before = std::setlocale(LC_ALL, nullptr);
  bool found = false;
  for (const char* name : {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8"}) {
    found = found || std::setlocale(LC_ALL, name) != nullptr;
  }
  if (!found) GTEST_SKIP() << "no locale with a decimal comma is installed";
  const absl::StatusOr<ImportedNgrams> model = Read(kArpa);
  std::setlocale(LC_ALL, before.c_str());
  EXPECT_FLOAT_EQ(UnigramLog10(*model, "b"), -1.5);
}

}  // namespace
}  // namespace lmserve
