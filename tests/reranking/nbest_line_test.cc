// SPDX-License-Identifier: Apache-2.0
#include "reranking/nbest_line.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/shared_data.h"

namespace lmserve {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

NbestLine Parse(const std::string& line) {
  return ParseNbestLine(line).value();
}

std::string Problem(const std::string& line) {
  return std::string(ParseNbestLine(line).status().message());
}

TEST(NbestLineTest, Moses) {
  const NbestLine line = Parse(
      "12 ||| the house is small .  ||| LM0= -20.5 Distortion0= 0 "
      "TM0= -1 -2.5 3e-1 ||| -9.25 ||| 0-0=0-0 ||| 0-0 1-2");
  EXPECT_EQ(line.id, "12");
  EXPECT_EQ(line.hypothesis, "the house is small .");
  EXPECT_THAT(line.features,
              ElementsAre(Feature{"LM0", -20.5}, Feature{"Distortion0", 0},
                          Feature{"TM0[0]", -1}, Feature{"TM0[1]", -2.5},
                          Feature{"TM0[2]", 0.3}));
  EXPECT_EQ(line.total, -9.25);
}

TEST(NbestLineTest, OldMoses) {
  const NbestLine line = Parse("0||| a b  ||| d: 0 -7.5 lm: -41 w: -9 ||| -14");
  EXPECT_EQ(line.id, "0");
  EXPECT_EQ(line.hypothesis, "a b");
  EXPECT_THAT(line.features,
              ElementsAre(Feature{"d[0]", 0}, Feature{"d[1]", -7.5},
                          Feature{"lm", -41}, Feature{"w", -9}));
}

TEST(NbestLineTest, NumbersWithoutNames) {
  const NbestLine line = Parse("0 ||| a ||| -1.5 2 ||| -3");
  EXPECT_THAT(line.features,
              ElementsAre(Feature{"[0]", -1.5}, Feature{"[1]", 2}));
  EXPECT_EQ(line.total, -3);
}

TEST(NbestLineTest, Marian) {
  const NbestLine line = Parse(
      "3 ||| ein Haus ||| 0-0 1-1 ||| WordScores= -0.5 -1 -2 ||| F0= -3.5 "
      "F1=-4 ||| -1.25");
  EXPECT_EQ(line.hypothesis, "ein Haus");
  EXPECT_THAT(line.features,
              ElementsAre(Feature{"F0", -3.5}, Feature{"F1", -4}));
  EXPECT_EQ(line.total, -1.25);
}

TEST(NbestLineTest, WithoutTotalOrFeatures) {
  EXPECT_THAT(Parse("0 ||| a ||| LM= -1").features,
              ElementsAre(Feature{"LM", -1}));
  EXPECT_FALSE(Parse("0 ||| a ||| LM= -1").total.has_value());
  const NbestLine bare = Parse("0 ||| a");
  EXPECT_FALSE(bare.has_features);
  EXPECT_THAT(bare.features, IsEmpty());
}

TEST(NbestLineTest, AHypothesisMayBeEmpty) {
  EXPECT_EQ(Parse("7 |||  ||| LM= -1 ||| -1").hypothesis, "");
  EXPECT_EQ(Parse("7 ||| ||| LM= -1 ||| -1").hypothesis, "");
}

TEST(NbestLineTest, ABarInAWordIsAPartOfIt) {
  const NbestLine line = Parse("7 ||| a|||b c ||| LM= -1 ||| -1");
  EXPECT_EQ(line.hypothesis, "a|||b c");
  EXPECT_THAT(line.features, ElementsAre(Feature{"LM", -1}));
}

TEST(NbestLineTest, IdsAreAnyText) {
  EXPECT_EQ(Parse("utt-1 ||| a ||| LM= -1 ||| -1").id, "utt-1");
}

TEST(NbestLineTest, TellsWhatIsWrong) {
  EXPECT_THAT(Problem(""), HasSubstr("expected ID ||| HYPOTHESIS"));
  EXPECT_THAT(Problem("a b c"), HasSubstr("expected ID ||| HYPOTHESIS"));
  EXPECT_THAT(Problem("||| a ||| LM= 1 ||| 1"), HasSubstr("expected ID"));
  EXPECT_EQ(Problem("0 ||| a ||| LM= x ||| 1"),
            "feature LM: expected a finite number, found 'x'");
  EXPECT_EQ(Problem("0 ||| a ||| LM= nan ||| 1"),
            "feature LM: expected a finite number, found 'nan'");
  EXPECT_EQ(Problem("0 ||| a ||| LM= -inf ||| 1"),
            "feature LM: expected a finite number, found '-inf'");
  EXPECT_EQ(Problem("0 ||| a ||| x ||| 1"),
            "features: expected NAME= or a number, found 'x'");
}

// Otherwise only the text before the bar would be scored.
TEST(NbestLineTest, ABarInAHypothesisIsAnError) {
  EXPECT_EQ(Problem("0 ||| a ||| b c ||| F0= -1 ||| 3"),
            "expected features or an alignment after the hypothesis, found "
            "'b c'; a hypothesis must not contain the bar |||");
  EXPECT_EQ(Parse("0 ||| a ||| 0.25,1e-05 0.75,1 ||| F0= -1 ||| 3").hypothesis,
            "a");
}

TEST(NbestLineTest, AFeatureThatComesTwiceIsAnError) {
  const std::string problem =
      ": expected once, with all its numbers after the name, found twice";
  EXPECT_EQ(Problem("0 ||| a ||| lm= -1 tm= -2 lm= -1"),
            "feature lm" + problem);
  EXPECT_EQ(Problem("0 ||| a ||| lm=-1 lm: -1 ||| 1"), "feature lm" + problem);
  EXPECT_EQ(Problem("0 ||| a ||| tm= 1 2 lm= 1 tm= 1 2"),
            "feature tm" + problem);
  EXPECT_EQ(Problem("0 ||| a ||| tm[1]= 1 tm= 1 2"), "feature tm[1]" + problem);
  EXPECT_THAT(
      Parse("0 ||| a ||| tm= 1 2 lm= tm2= 1").features,
      ElementsAre(Feature{"tm[0]", 1}, Feature{"tm[1]", 2}, Feature{"tm2", 1}));
}

TEST(WithFeaturesTest, LeavesAllElseAsItWas) {
  EXPECT_EQ(WithFeatures(Parse("0 ||| a  ||| LM= -1 ||| -9 ||| 0-0 "),
                         {{"lstm", -2.5}, {"rev", 1e-7}}),
            "0 ||| a  ||| LM= -1 lstm= -2.5 rev= 1e-07 ||| -9 ||| 0-0 ");
  EXPECT_EQ(
      WithFeatures(Parse("0 ||| a ||| 0-0 ||| F0= -1 ||| -1"), {{"lm", -3}}),
      "0 ||| a ||| 0-0 ||| F0= -1 lm= -3 ||| -1");
  EXPECT_EQ(WithFeatures(Parse("0 ||| a "), {{"lm", -3}}),
            "0 ||| a ||| lm= -3 ");
  EXPECT_EQ(WithFeatures(Parse("0 ||| "), {{"lm", -3}}), "0 ||| ||| lm= -3 ");
  EXPECT_EQ(WithFeatures(Parse("0 ||| a  ||| ||| 1"), {{"lm", -3}}),
            "0 ||| a  ||| lm= -3 ||| 1");
  EXPECT_EQ(WithFeatures(Parse("0|||a ||| x= 1"), {}), "0|||a ||| x= 1");
}

// A list that was scored before has its features replaced, not twice.
TEST(WithFeaturesTest, ReplacesFeaturesOfTheSameName) {
  EXPECT_EQ(WithFeatures(Parse("0 ||| a ||| x= 1 lm= -2 lm.words= 3 ||| 1"),
                         {{"lm", -3}, {"lm.words", 4}}),
            "0 ||| a ||| x= 1 lm= -3 lm.words= 4 ||| 1");
  EXPECT_EQ(
      WithFeatures(Parse("0 ||| a ||| lm= -1 -2 x= 1 2 ||| 1"), {{"lm", -3}}),
      "0 ||| a ||| x= 1 2 lm= -3 ||| 1");
  EXPECT_EQ(WithFeatures(Parse("0 ||| a ||| lm=-1 lmx=2"), {{"lm", -3}}),
            "0 ||| a ||| lmx=2 lm= -3");
  EXPECT_EQ(WithFeatures(Parse("0 ||| a ||| lmx: 2 lm: 5"), {{"lm", -3}}),
            "0 ||| a ||| lmx: 2 lm= -3");
}

TEST(WithFeaturesTest, WhatWasAddedCanBeRead) {
  const float value = -12345.678f;
  const NbestLine line =
      Parse(WithFeatures(Parse("0 ||| a ||| x= 1 2 ||| 1"), {{"lm", value}}));
  EXPECT_EQ(static_cast<float>(line.features.back().value), value);
}

// A list of 5,000 candidates of a phrase-based system.
TEST(NbestLineTest, ARealListComesBackAsItWas) {
  const std::string path = SharedFile("data/nbest/europarl-en.dev.nbest.xz");
  if (path.empty()) GTEST_SKIP() << "no shared data";
  int lines = 0;
  for (const std::string& text : ReadSharedLines(path)) {
    const absl::StatusOr<NbestLine> line = ParseNbestLine(text);
    ASSERT_TRUE(line.ok()) << line.status() << "\n" << text;
    EXPECT_EQ(line->features.size(), 15u) << text;
    EXPECT_TRUE(line->total.has_value());
    EXPECT_EQ(line->id, std::to_string(lines / 100));
    EXPECT_EQ(WithFeatures(*line, {}), text);
    const std::string more = WithFeatures(*line, {{"lstm", -1.5}});
    EXPECT_EQ(more.size(), text.size() + std::string(" lstm= -1.5").size());
    EXPECT_EQ(ParseNbestLine(more)->features.back(), (Feature{"lstm", -1.5}));
    ++lines;
  }
  EXPECT_EQ(lines, 5000);
}

}  // namespace
}  // namespace lmserve
