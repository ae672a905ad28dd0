// SPDX-License-Identifier: Apache-2.0
#include "client/rerank_request.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lmserve {
namespace {

using testing::HasSubstr;
using testing::Pair;
using testing::UnorderedElementsAre;

TEST(CheckWeightsTest, SaysWhatIsWrong) {
  EXPECT_EQ(CheckWeights("en=0.5,tm[0]=-1e-3 a=b=2"), "");
  EXPECT_THAT(CheckWeights("en=much"), HasSubstr("expected NAME=NUMBER"));
  EXPECT_THAT(CheckWeights("en=1,en=2"), HasSubstr("found 'en' twice"));
}

TEST(MakeRerankRequestTest, SetsWeightsAndSource) {
  RerankOptions options;
  options.models = {"en", "de"};
  options.weights = {"en=0.5,a=b=2"};
  options.source = "the cat";
  const auto request = MakeRerankRequest(options);
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_EQ(request->models_size(), 2);
  EXPECT_THAT(request->weights(),
              UnorderedElementsAre(Pair("en", 0.5), Pair("a=b", 2)));
  EXPECT_EQ(request->source().text(), "the cat");
  EXPECT_FALSE(request->has_minimum_bayes_risk());
  EXPECT_EQ(request->candidates_size(), 0);
}

TEST(MakeRerankRequestTest, AWeightThatIsGivenTwiceIsAnError) {
  RerankOptions options;
  options.weights = {"en=0.5", "tm=1 en=2"};
  EXPECT_EQ(MakeRerankRequest(options).status(),
            absl::InvalidArgumentError(
                "--weights: expected each name once, found 'en' twice"));
}

TEST(AddCandidateTest, ParsesTextAndFeatures) {
  lm::v1::RerankRequest request;
  ASSERT_TRUE(AddCandidate("  i have  ", &request).ok());
  ASSERT_TRUE(AddCandidate("i has ||| tm=-3.2  length=4", &request).ok());
  ASSERT_TRUE(AddCandidate("i had ||| ", &request).ok());
  EXPECT_TRUE(request.candidates(2).features().empty());
  EXPECT_EQ(request.candidates(0).text().text(), "i have");
  EXPECT_TRUE(request.candidates(0).features().empty());
  EXPECT_EQ(request.candidates(1).text().text(), "i has");
  EXPECT_THAT(request.candidates(1).features(),
              UnorderedElementsAre(Pair("tm", -3.2), Pair("length", 4)));
}

TEST(AddCandidateTest, RejectsOtherForms) {
  lm::v1::RerankRequest request;
  EXPECT_THAT(AddCandidate("a ||| tm=high", &request).ToString(),
              HasSubstr("found 'tm=high'"));
  EXPECT_THAT(AddCandidate("a ||| tm=1 tm=2", &request).ToString(),
              HasSubstr("found 'tm' twice"));
  EXPECT_THAT(AddCandidate("a ||| b ||| c", &request).ToString(),
              HasSubstr("candidate 2: expected TEXT"));
}

}  // namespace
}  // namespace lmserve
