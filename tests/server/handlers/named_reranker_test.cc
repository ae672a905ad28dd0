// SPDX-License-Identifier: Apache-2.0
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/handlers/rerank.h"
#include "tests/server/handlers/rerank_fixture.h"
#include "tests/testing/status_text.h"

namespace lmserve {
namespace {

using lm::v1::RerankResponse;
using testing::ElementsAre;

const double kFlatTheCat = Ln({-0.6, -0.2, -0.4});  // ln P under the flat model

class NamedRerankerTest : public RerankTest {
 protected:
  NamedRerankerTest() {
    Serve("mt",
          "members { model: 'tiny@1' feature: 't' } "
          "members { model: 'flat' feature: 'f' } "
          "weights { key: 't' value: 0.5 } "
          "weights { key: 'f.words' value: -0.25 } "
          "weights { key: 'tm' value: 2 } normalization: NORMALIZATION_MEAN ");
  }

  // Publishes a reranker, and opens the store again.
  void Serve(absl::string_view name, const std::string& reranker) {
    PublishReranker(files_.path(), name, reranker);
    store_ = files_.Open();
    serving_.emplace(*store_, limits_);
  }
};

constexpr char kTwoWithFeatures[] =
    "candidates { text { text: 'a dog' } "
    "  features { key: 'tm' value: -1 } } "
    "candidates { text { text: 'the cat' } "
    "  features { key: 'tm' value: -2 } } ";

// The answer equals that to a request that describes the reranker itself.
TEST_F(NamedRerankerTest, HasModelsWeightsAndNormalization) {
  const RerankResponse named =
      Rerank(absl::StrCat("reranker: 'mt' ", kTwoWithFeatures));
  EXPECT_THAT(named.feature_names(),
              ElementsAre("tm", "t", "t.unknown", "t.words", "t.end", "f",
                          "f.unknown", "f.words", "f.end"));
  EXPECT_EQ(named.reranker().name(), "mt");
  EXPECT_EQ(named.reranker().version(), 1u);
  ASSERT_EQ(named.models_size(), 2);
  EXPECT_EQ(named.models(0).name(), "tiny");
  EXPECT_EQ(named.models(0).version(), 1u);
  const RerankResponse described = Rerank(absl::StrCat(
      "models: 'tiny@1' models: 'flat' normalization: NORMALIZATION_MEAN "
      "weights { key: 'tiny@1' value: 0.5 } "
      "weights { key: 'flat.words' value: -0.25 } "
      "weights { key: 'tm' value: 2 } ",
      kTwoWithFeatures));
  EXPECT_FALSE(described.has_reranker());
  ASSERT_EQ(Order(named), Order(described));
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(named.candidates(i).score(), described.candidates(i).score());
    EXPECT_THAT(named.candidates(i).features(),
                testing::ElementsAreArray(described.candidates(i).features()));
  }
}

TEST_F(NamedRerankerTest, GivenFeaturesAreNotComputed) {
  const RerankResponse response = Rerank(
      "reranker: 'mt' candidates { text { text: 'a dog' } "
      "  features { key: 'tm' value: -1 } features { key: 't' value: 7 } }");
  EXPECT_THAT(response.feature_names(),
              ElementsAre("t", "tm", "f", "f.unknown", "f.words", "f.end"));
  EXPECT_THAT(response.candidates(0).score(),
              IsNear(0.5 * 7 + 2 * -1 + -0.25 * 3));
}

// Without weights in the reranker, ln P of each member has weight 1, whether
// the candidates have it or the model computes it.
TEST_F(NamedRerankerTest, GivenFeaturesHaveTheSameWeight) {
  Serve("both",
        "members { model: 'tiny' feature: 't' } "
        "members { model: 'flat' feature: 'f' } ");
  const RerankResponse response = Rerank(
      "reranker: 'both' candidates { text { text: 'the cat' } "
      "  features { key: 't' value: 7 } }");
  EXPECT_THAT(response.candidates(0).score(), IsNear(7 + kFlatTheCat));
}

// The minimum Bayes risk looks ids up even if no member reads them.
TEST_F(NamedRerankerTest, IdsThatNoMemberReadsAreChecked) {
  Serve("risk",
        "members { model: 'tiny' feature: 't' } "
        "minimum_bayes_risk {} ");
  EXPECT_EQ(TextOf(Try("reranker: 'risk' "
                       "candidates { text { ids { ids: 4000000000 } } "
                       "  features { key: 't' value: 7 } }")
                       .status()),
            absl::StrCat("INVALID_ARGUMENT: candidates[0]: expected ids below ",
                         (*store_->Get("tiny"))->model().vocabulary().size(),
                         ", found 4000000000"));
}

TEST_F(NamedRerankerTest, OnlyATranslationModelCanBeReverse) {
  Serve("wrong",
        "members { model: 'tiny' feature: 't' reverse: true } "
        "minimum_bayes_risk {} ");
  const absl::Status status =
      Try("reranker: 'wrong' candidates { text { ids { ids: 1 } } "
          "  features { key: 't' value: 7 } }")
          .status();
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_THAT(std::string(status.message()),
              testing::StartsWith("reranker 'wrong': reverse_models: "));
}

TEST_F(NamedRerankerTest, Refused) {
  const std::string mt = absl::StrCat("reranker: 'mt' ", kTwoWithFeatures);
  const struct {
    std::string request;
    absl::Status status;
  } cases[] = {
      {mt + "models: 'flat'",
       absl::InvalidArgumentError("models: expected no value beside reranker")},
      {mt + "weights { key: 't' value: 1 }",
       absl::InvalidArgumentError(
           "weights: expected no value beside reranker")},
      {mt + "minimum_bayes_risk {}",
       absl::InvalidArgumentError(
           "minimum_bayes_risk: expected no value beside reranker")},
      {absl::StrCat("reranker: 'tiny' ", kTwo),
       absl::FailedPreconditionError(
           "reranker: 'tiny' is a model: expected a reranker (lm_trainer tune "
           "publishes rerankers)")},
      {absl::StrCat("models: 'mt' ", kTwo),
       absl::FailedPreconditionError(
           "'mt' is a reranker: expected a model (Rerank has a field, and "
           "lm_client rerank the option --reranker, for rerankers)")},
      {absl::StrCat("reranker: 'mt' ", kTwo),
       absl::InvalidArgumentError(
           "reranker 'mt': weights[tm]: expected one of the features t, "
           "t.unknown, t.words, t.end, f, f.unknown, f.words, f.end")},
      {"reranker: 'mt'", absl::InvalidArgumentError(
                             "candidates: expected a candidate, found none")},
  };
  for (const auto& refused : cases) {
    EXPECT_EQ(TextOf(Try(refused.request).status()), TextOf(refused.status))
        << refused.request;
  }
}

TEST_F(NamedRerankerTest, AMemberThatIsNotServedIsNamed) {
  Serve("lost", "members { model: 'gone@7' feature: 'g' }");
  const absl::Status status =
      Try(absl::StrCat("reranker: 'lost' ", kTwo)).status();
  EXPECT_TRUE(absl::IsNotFound(status));
  EXPECT_THAT(std::string(status.message()),
              testing::StartsWith("reranker: model 'lost' is not served "
                                  "(version 1: its member gone@7 is not "
                                  "loaded); served: "));
}

}  // namespace
}  // namespace lmserve
