// SPDX-License-Identifier: Apache-2.0
#include "server/handlers/rerank.h"

#include <cmath>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/handlers/rerank_fixture.h"
#include "tests/testing/status_text.h"

namespace lmserve {
namespace {

using lm::v1::RankedCandidate;
using lm::v1::RerankResponse;
using testing::ElementsAre;

// ln P of two texts by the models "tiny" and "flat".
const double kTinyTheCat = Ln({-0.3, -0.18, -0.2 + -0.25 + -0.9});
const double kTinyADog = Ln({-0.6, -0.45 + -0.4, -0.15 + -0.9});
const double kFlatTheCat = Ln({-0.6, -0.2, -0.4});
const double kTinyEndOfTheCat = Ln({-0.2, -0.25, -0.9});
const double kTinyEndOfADog = Ln({-0.15, -0.9});
const double kFlatEnd = Ln({-0.4});
const double kFlatADog = Ln({-0.5, -0.5, -0.4});  // two unknown words

TEST_F(RerankTest, ByLogProbWithoutWeights) {
  const RerankResponse response = Rerank(absl::StrCat("models: 'tiny' ", kTwo));
  EXPECT_THAT(response.feature_names(),
              ElementsAre("tiny", "tiny.unknown", "tiny.words", "tiny.end"));
  EXPECT_THAT(response.weights(), ElementsAre(1, 0, 0, 0));
  EXPECT_THAT(Order(response), ElementsAre(1, 0));
  EXPECT_THAT(response.candidates(0).score(), IsNear(kTinyTheCat));
  EXPECT_THAT(response.candidates(0).features(),
              ElementsAre(IsNear(kTinyTheCat), 0, 3, IsNear(kTinyEndOfTheCat)));
  EXPECT_THAT(response.candidates(1).features(),
              ElementsAre(IsNear(kTinyADog), 0, 3, IsNear(kTinyEndOfADog)));
}

TEST_F(RerankTest, LogLinearOverModelsAndOwnFeatures) {
  const RerankResponse response = Rerank(
      "models: 'tiny' models: 'flat@1' "
      "candidates { text { text: 'a dog' } "
      "  features { key: 'tm' value: -1 } features { key: 'am' value: 4 } } "
      "candidates { text { text: 'the cat' } "
      "  features { key: 'am' value: 0.5 } features { key: 'tm' value: -2 } } "
      "weights { key: 'tiny' value: 0.5 } weights { key: 'tm' value: 2 } "
      "weights { key: 'tiny.words' value: -0.25 } "
      "weights { key: 'flat@1' value: 0.125 } "
      "weights { key: 'flat@1.unknown' value: -3 } ");
  EXPECT_THAT(
      response.feature_names(),
      ElementsAre("am", "tm", "tiny", "tiny.unknown", "tiny.words", "tiny.end",
                  "flat@1", "flat@1.unknown", "flat@1.words", "flat@1.end"));
  EXPECT_THAT(response.weights(),
              ElementsAre(0, 2, 0.5, 0, -0.25, 0, 0.125, -3, 0, 0));
  ASSERT_THAT(Order(response), ElementsAre(1, 0));
  const RankedCandidate& the_cat = response.candidates(0);
  EXPECT_THAT(
      the_cat.features(),
      ElementsAre(0.5, -2, IsNear(kTinyTheCat), 0, 3, IsNear(kTinyEndOfTheCat),
                  IsNear(kFlatTheCat), 0, 3, IsNear(kFlatEnd)));
  EXPECT_THAT(the_cat.score(), IsNear(2 * -2 + 0.5 * kTinyTheCat + -0.25 * 3 +
                                      0.125 * kFlatTheCat));
  const RankedCandidate& a_dog = response.candidates(1);
  EXPECT_THAT(
      a_dog.features(),
      ElementsAre(4, -1, IsNear(kTinyADog), 0, 3, IsNear(kTinyEndOfADog),
                  IsNear(kFlatADog), 2, 3, IsNear(kFlatEnd)));
  EXPECT_THAT(a_dog.score(), IsNear(2 * -1 + 0.5 * kTinyADog + -0.25 * 3 +
                                    0.125 * kFlatADog + -3 * 2));
}

TEST_F(RerankTest, ModelsAnswerInTheOrderOfTheRequest) {
  const RerankResponse response =
      Rerank(absl::StrCat("models: 'tiny@stable' models: 'flat' ", kTwo));
  ASSERT_EQ(response.models_size(), 2);
  EXPECT_EQ(response.models(0).name(), "tiny");
  EXPECT_EQ(response.models(0).version(), 1);
  EXPECT_EQ(response.models(1).name(), "flat");
  EXPECT_THAT(response.candidates(0).score(),
              IsNear(kTinyTheCat + kFlatTheCat));
}

TEST_F(RerankTest, TheLongerTextMayWinByItsMean) {
  const std::string request =
      "models: 'flat' candidates { text { text: 'the' } } "
      "candidates { text { text: 'cat cat cat' } } ";
  EXPECT_THAT(Order(Rerank(request)), ElementsAre(0, 1));
  EXPECT_THAT(
      Order(Rerank(absl::StrCat(request, "normalization: NORMALIZATION_MEAN"))),
      ElementsAre(1, 0));
}

TEST_F(RerankTest, Normalizations) {
  const struct {
    const char* fields;
    double divisor;  // for three words
  } cases[] = {{"", 1},
               {"normalization: NORMALIZATION_SUM alpha: 2", 1},
               {"normalization: NORMALIZATION_MEAN", 3},
               {"normalization: NORMALIZATION_POWER", 3},
               {"normalization: NORMALIZATION_POWER alpha: 0.5", std::sqrt(3)},
               {"normalization: NORMALIZATION_POWER alpha: 2", 9}};
  for (const auto& expected : cases) {
    const RerankResponse response =
        Rerank(absl::StrCat("models: 'tiny' ", kTwo, expected.fields));
    EXPECT_THAT(response.candidates(0).features(),
                ElementsAre(IsNear(kTinyTheCat / expected.divisor), 0, 3,
                            IsNear(kTinyEndOfTheCat)))
        << expected.fields;
  }
}

TEST_F(RerankTest, BestCutsTheList) {
  const std::string request = absl::StrCat("models: 'tiny' ", kTwo);
  EXPECT_THAT(Order(Rerank(request + "best: 0")), ElementsAre(1, 0));
  EXPECT_THAT(Order(Rerank(request + "best: 1")), ElementsAre(1));
  EXPECT_THAT(Order(Rerank(request + "best: 9")), ElementsAre(1, 0));
}

TEST_F(RerankTest, TiesKeepTheirOrder) {
  std::string request = "models: 'flat' ";
  for (const char* text : {"the", "cat", "twin", "cat", "the", "twin"}) {
    absl::StrAppend(&request, "candidates { text { text: '", text, "' } } ");
  }
  EXPECT_THAT(Order(Rerank(request)), ElementsAre(1, 3, 0, 2, 4, 5));
}

TEST_F(RerankTest, AnEmptyCandidateHasTheScoreOfItsEnd) {
  const RerankResponse response = Rerank("models: 'tiny' candidates {}");
  EXPECT_THAT(
      response.candidates(0).features(),
      ElementsAre(IsNear(Ln({-0.4, -0.9})), 0, 1, IsNear(Ln({-0.4, -0.9}))));
}

TEST_F(RerankTest, AWeightOfZeroIgnoresAnImpossibleText) {
  const std::string request =
      "models: 'flat' candidates { text { text: 'never' } } "
      "candidates { text { text: 'the the the' } } "
      "weights { key: 'flat.words' value: -1 } ";
  const RerankResponse response = Rerank(request);
  EXPECT_THAT(Order(response), ElementsAre(0, 1));
  EXPECT_EQ(response.candidates(0).score(), -2);
  EXPECT_LT(response.candidates(0).features(0), -1e6);
}

TEST_F(RerankTest, AnImpossibleTextComesLast) {
  const RerankResponse response = Rerank(
      "models: 'flat' candidates { text { text: 'never' } } "
      "candidates { text { text: 'the the the' } }");
  EXPECT_THAT(Order(response), ElementsAre(1, 0));
  // The impossible word counts -1e6, beside ln P of the other words.
  EXPECT_THAT(response.candidates(1).score(),
              testing::AllOf(testing::Gt(-1e6 - 10), testing::Lt(-1e6)));
}

// A word that no candidate can avoid does not hide their other features.
TEST_F(RerankTest, ImpossibleWordsThatCandidatesShare) {
  const RerankResponse response = Rerank(
      "models: 'flat' "
      "candidates { text { text: 'the never' } "
      "             features { key: 'am' value: -9 } } "
      "candidates { text { text: 'the never' } "
      "             features { key: 'am' value: -1 } } "
      "candidates { text { text: 'never never' } "
      "             features { key: 'am' value: 0 } } "
      "weights { key: 'flat' value: 0.5 } weights { key: 'am' value: 1 }");
  EXPECT_THAT(Order(response), ElementsAre(1, 0, 2));
  EXPECT_NEAR(response.candidates(0).score() - response.candidates(1).score(),
              8, 1e-6);
  EXPECT_LT(response.candidates(2).score(), -0.99e6);
}

// A long text with an impossible word is not better than a short one.
TEST_F(RerankTest, ImpossibleWordsAreNotNormalized) {
  for (const char* normalization :
       {"normalization: NORMALIZATION_MEAN",
        "normalization: NORMALIZATION_POWER alpha: 100"}) {
    const RerankResponse response = Rerank(absl::StrCat(
        "models: 'flat' candidates { text { text: 'never the the the' } } "
        "candidates { text { text: 'the' } } ",
        normalization));
    EXPECT_THAT(Order(response), ElementsAre(1, 0));
    EXPECT_LT(response.candidates(1).score(), -0.99e6);
  }
}

TEST_F(RerankTest, Refused) {
  const std::string tiny = "models: 'tiny' ";
  const std::string feature = "candidates { features { key: 'tm' value: 1 } } ";
  const struct {
    std::string request;
    const char* message;
  } cases[] = {
      {kTwo, "models: expected a model, found none"},
      {tiny, "candidates: expected a candidate, found none"},
      {tiny + tiny + kTwo,
       "models: expected each model once, found 'tiny' twice"},
      {tiny + kTwo + "normalization: 4",
       "normalization: expected 0 to 3, found 4"},
      {tiny + kTwo + "alpha: -0.5",
       "alpha: expected a finite number of at least 0, found -0.5"},
      {tiny + kTwo + "alpha: nan",
       "alpha: expected a finite number of at least 0, found nan"},
      {tiny + kTwo + "alpha: inf",
       "alpha: expected a finite number of at least 0, found inf"},
      {tiny + kTwo + "weights { key: 'tiny' value: nan }",
       "weights[tiny]: expected a finite number, found nan"},
      {tiny + kTwo + "weights { key: 'tiny' value: -inf }",
       "weights[tiny]: expected a finite number, found -inf"},
      {tiny + kTwo + "weights { key: 'lm' value: 1 }",
       "weights[lm]: expected one of the features tiny, tiny.unknown, "
       "tiny.words, tiny.end"},
      {tiny + feature + "candidates {}",
       "candidates[1].features: expected 1 features, as for candidates[0], "
       "found 0"},
      {tiny + "candidates {} " + feature,
       "candidates[1].features: expected 0 features, as for candidates[0], "
       "found 1"},
      {tiny + feature + "candidates { features { key: 'am' value: 1 } }",
       "candidates[1].features: expected the features of candidates[0], found "
       "no 'tm'"},
      {tiny + feature + "candidates { features { key: 'tm' value: nan } }",
       "candidates[1].features[tm]: expected a finite number, found nan"},
      {tiny + "candidates { features { key: 'tm' value: inf } }",
       "candidates[0].features[tm]: expected a finite number, found inf"},
      {tiny + "candidates { features { key: 'tiny.words' value: 1 } }",
       "candidates[0].features: expected no feature with the name of a model's "
       "feature, found 'tiny.words'"},
      {tiny + "candidates { text { text: '<s> the' } }",
       "candidates[0]: word 0: expected no sentence marker, found <s>"},
  };
  for (const auto& refused : cases) {
    EXPECT_EQ(TextOf(Try(refused.request).status()),
              absl::StrCat("INVALID_ARGUMENT: ", refused.message))
        << refused.request;
  }
}

}  // namespace
}  // namespace lmserve
