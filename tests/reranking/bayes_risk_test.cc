// SPDX-License-Identifier: Apache-2.0
#include "reranking/bayes_risk.h"

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "reranking/metric.h"

namespace lmserve {
namespace {

using testing::DoubleNear;
using testing::ElementsAre;
using testing::Pointwise;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

const std::vector<std::string> kTexts = {
    "the cat sat on the mat", "a cat sat on the mat", "the dog sat on a mat",
    "the cat sat on the mat", "what is that",         ""};
const std::vector<double> kScores = {-3, -2.5, -2, -4, -1, -9};

// Computes expected utilities by their definition, with Metric.
std::vector<double> Expect(double scale, const char* metric_name) {
  const auto metric = MakeMetric(metric_name, "none").value();
  double sum = 0;
  for (double score : kScores) sum += std::exp(scale * score);
  std::vector<double> utilities;
  for (const std::string& text : kTexts) {
    double utility = 0;
    for (size_t j = 0; j < kTexts.size(); ++j) {
      utility += std::exp(scale * kScores[j]) / sum *
                 metric->SentenceScore(metric->Count(text, {kTexts[j]}));
    }
    utilities.push_back(utility);
  }
  return utilities;
}

TEST(BayesRiskTest, IsTheExpectationOfTheMetric) {
  for (double scale : {0.1, 1.0, 3.0}) {
    EXPECT_THAT(ExpectedUtilities(kTexts, kScores, scale, Utility::kBleu),
                Pointwise(DoubleNear(1e-9), Expect(scale, "bleu")));
    EXPECT_THAT(ExpectedUtilities(kTexts, kScores, scale, Utility::kChrf),
                Pointwise(DoubleNear(1e-9), Expect(scale, "chrf")));
  }
}

TEST(UtilityTest, EveryNameIsParsed) {
  EXPECT_THAT(UtilityNames(), ElementsAre("bleu", "chrf"));
  EXPECT_EQ(ParseUtility("bleu").value(), Utility::kBleu);
  EXPECT_EQ(ParseUtility("chrf").value(), Utility::kChrf);
  EXPECT_TRUE(absl::IsInvalidArgument(ParseUtility("wer").status()));
}

// Two similar texts win against the single text with the best score.
TEST(BayesRiskTest, TheCandidateMostLikeTheOthersIsBest) {
  const std::vector<std::string> texts = {"x y z", "a b c d", "a b c e"};
  const auto utilities =
      ExpectedUtilities(texts, {-1, -1.1, -1.2}, 1, Utility::kBleu);
  EXPECT_GT(utilities[1], utilities[0]);
  EXPECT_GT(utilities[2], utilities[0]);
}

TEST(BayesRiskTest, OnlyDifferencesOfScoresCount) {
  std::vector<double> scores = kScores;
  for (double& score : scores) score -= 1e4;
  EXPECT_THAT(ExpectedUtilities(kTexts, scores, 1, Utility::kChrf),
              Pointwise(DoubleNear(1e-9),
                        ExpectedUtilities(kTexts, kScores, 1, Utility::kChrf)));
}

TEST(BayesRiskTest, TheImpossibleIsNoReference) {
  EXPECT_THAT(
      ExpectedUtilities({"a", "b"}, {-kInfinity, -5}, 1, Utility::kChrf),
      ElementsAre(0, 100));
  EXPECT_THAT(ExpectedUtilities({"a", "b"}, {-kInfinity, -kInfinity}, 1,
                                Utility::kChrf),
              ElementsAre(50, 50));
  EXPECT_THAT(ExpectedUtilities({}, {}, 1, Utility::kChrf), ElementsAre());
}

TEST(BayesRiskTest, EqualTextsAreComparedOnce) {
  EXPECT_EQ(BayesRisk(kTexts, kScores, 1, Utility::kBleu).size(),
            kTexts.size() - 1);
}

}  // namespace
}  // namespace lmserve
