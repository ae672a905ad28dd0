#include "server/handlers/rerank.h"

#include <atomic>
#include <cmath>
#include <future>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "reranking/bayes_risk.h"
#include "tests/server/handlers/test_serving_context.h"
#include "tests/server/small_store.h"
#include "tests/testing/neural_models.h"

namespace lmserve {
namespace {

using lm::v1::RankedCandidate;
using lm::v1::RerankRequest;
using lm::v1::RerankResponse;
using testing::ElementsAre;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// ln P of two texts under the tiny model and the flat one.
const double kTinyTheCat = Ln({-0.3, -0.18, -0.2 + -0.25 + -0.9});
const double kTinyADog = Ln({-0.6, -0.45 + -0.4, -0.15 + -0.9});
const double kFlatTheCat = Ln({-0.6, -0.2, -0.4});
const double kTinyEndOfTheCat = Ln({-0.2, -0.25, -0.9});
const double kTinyEndOfADog = Ln({-0.15, -0.9});
const double kFlatEnd = Ln({-0.4});
const double kFlatADog = Ln({-0.5, -0.5, -0.4});  // two unknown words

constexpr char kTwo[] =
    "candidates { text { text: 'a dog' } } "
    "candidates { text { text: 'the cat' } } ";

class RerankTest : public testing::Test {
 protected:
  absl::StatusOr<RerankResponse> Try(const std::string& request) {
    RerankResponse response;
    const absl::Status status = serving_->Answer(
        lmserve::Rerank, Parse<RerankRequest>(request), &response);
    if (!status.ok()) return status;
    return response;
  }

  RerankResponse Rerank(const std::string& request) {
    return Try(request).value();
  }

  RerankTest() { serving_.emplace(*store_, limits_); }

  const SmallStore files_;
  std::unique_ptr<const ModelStore> store_ = files_.Open();
  Limits limits_;
  std::optional<TestServing> serving_;
};

std::vector<int> Order(const RerankResponse& response) {
  std::vector<int> order;
  for (const RankedCandidate& candidate : response.candidates()) {
    order.push_back(candidate.index());
  }
  return order;
}

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
  EXPECT_THAT(Order(Rerank(absl::StrCat(request, "normalization: MEAN"))),
              ElementsAre(1, 0));
}

TEST_F(RerankTest, Normalizations) {
  const struct {
    const char* fields;
    double divisor;  // for three words
  } cases[] = {{"", 1},
               {"normalization: SUM alpha: 2", 1},
               {"normalization: MEAN", 3},
               {"normalization: POWER", 3},
               {"normalization: POWER alpha: 0.5", std::sqrt(3)},
               {"normalization: POWER alpha: 2", 9}};
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

TEST_F(RerankTest, EqualsStayAsTheyCame) {
  std::string request = "models: 'flat' ";
  for (const char* text : {"the", "cat", "twin", "cat", "the", "twin"}) {
    absl::StrAppend(&request, "candidates { text { text: '", text, "' } } ");
  }
  EXPECT_THAT(Order(Rerank(request)), ElementsAre(1, 3, 0, 2, 4, 5));
}

TEST_F(RerankTest, AnEmptyCandidateIsItsEnd) {
  const RerankResponse response = Rerank("models: 'tiny' candidates {}");
  EXPECT_THAT(
      response.candidates(0).features(),
      ElementsAre(IsNear(Ln({-0.4, -0.9})), 0, 1, IsNear(Ln({-0.4, -0.9}))));
}

TEST_F(RerankTest, AWeightOfZeroTakesAnInfiniteFeatureOut) {
  const std::string request =
      "models: 'flat' candidates { text { text: 'never' } } "
      "candidates { text { text: 'the the the' } } "
      "weights { key: 'flat.words' value: -1 } ";
  const RerankResponse response = Rerank(request);
  EXPECT_THAT(Order(response), ElementsAre(0, 1));
  EXPECT_EQ(response.candidates(0).score(), -2);
  EXPECT_EQ(response.candidates(0).features(0), -kInfinity);
}

TEST_F(RerankTest, TheImpossibleComesLast) {
  const RerankResponse response = Rerank(
      "models: 'flat' candidates { text { text: 'never' } } "
      "candidates { text { text: 'the the the' } }");
  EXPECT_THAT(Order(response), ElementsAre(1, 0));
  EXPECT_EQ(response.candidates(1).score(), -kInfinity);
}

// Infinities of both signs have no sum.
TEST_F(RerankTest, TheImpossibleUnderSeveralModelsComesLast) {
  const RerankResponse response = Rerank(
      "models: 'flat' models: 'mute' candidates { text { text: 'never' } } "
      "weights { key: 'flat' value: 1 } weights { key: 'mute' value: -1 }");
  EXPECT_EQ(response.candidates(0).score(), -kInfinity);
}

TEST_F(RerankTest, ByTheMinimumBayesRisk) {
  const RerankResponse response = Rerank(
      "models: 'flat' weights { key: 'flat.words' value: 0 } "
      "minimum_bayes_risk { utility: CHRF } "
      "candidates { text { text: 'cat' } } "
      "candidates { text { words { words: 'the' words: 'twin' } } } "
      "candidates { text { text: 'the twins' } } ");
  // All are as probable; two are alike, the longer one found more of the other.
  EXPECT_THAT(Order(response), ElementsAre(2, 1, 0));
  const std::vector<double> expected = ExpectedUtilities(
      {"cat", "the twin", "the twins"}, {0, 0, 0}, 1, Utility::kChrf);
  for (const RankedCandidate& candidate : response.candidates()) {
    EXPECT_EQ(candidate.score(), 0);
    EXPECT_THAT(candidate.expected_utility(),
                IsNear(expected[candidate.index()]));
  }
}

// As many as take several batches to compare.
TEST_F(RerankTest, UtilitiesOfManyCandidates) {
  std::vector<std::string> texts;
  std::string request = "models: 'tiny' minimum_bayes_risk {} ";
  for (int i = 0; i < 200; ++i) {
    std::string& text = texts.emplace_back();
    for (int j = 0; j < 25; ++j) absl::StrAppend(&text, i * j, " ");
    absl::StrAppend(&request, "candidates { text { text: '", text, "' } } ");
  }
  const RerankResponse response =
      Rerank(absl::StrCat(request, "weights { key: 'tiny' value: 0 }"));
  const std::vector<double> expected = ExpectedUtilities(
      texts, std::vector<double>(texts.size()), 1, Utility::kBleu);
  ASSERT_EQ(response.candidates_size(), 200);
  for (const RankedCandidate& candidate : response.candidates()) {
    EXPECT_EQ(candidate.expected_utility(), expected[candidate.index()]);
  }
}

TEST_F(RerankTest, UtilitiesTakeOfTheMemoryOfStates) {
  limits_.all_state_bytes = 1000;
  serving_.emplace(*store_, limits_);
  const absl::Status status =
      Try(absl::StrCat("models: 'tiny' ", kTwo, "minimum_bayes_risk {} "))
          .status();
  EXPECT_TRUE(absl::IsResourceExhausted(status));
  EXPECT_THAT(std::string(status.message()),
              testing::StartsWith("minimum_bayes_risk: bytes in memory: "));
  EXPECT_EQ(serving_->budgets().state_bytes.taken(), 0u);
}

// Ids stand for the words of the first model.
TEST_F(RerankTest, UtilitiesOfIdsAreThoseOfTheirWords) {
  const std::string flat = "models: 'flat' minimum_bayes_risk {} ";
  const RerankResponse words =
      Rerank(flat +
             "candidates { text { text: 'the cat' } } "
             "candidates { text { text: 'the twin' } }");
  const RerankResponse ids =
      Rerank(flat +
             "candidates { text { ids { ids: 3 ids: 4 } } } "
             "candidates { text { text: 'the twin' } }");
  EXPECT_GT(words.candidates(0).expected_utility(), 0);
  EXPECT_EQ(ids.candidates(0).expected_utility(),
            words.candidates(0).expected_utility());
}

TEST_F(RerankTest, UtilitiesHaveALimit) {
  limits_.bytes_compared = 2 * 12;
  const std::string request =
      absl::StrCat("models: 'tiny' ", kTwo, "minimum_bayes_risk {} ");
  EXPECT_TRUE(Try(request).ok());  // "a dog" and "the cat"
  limits_.bytes_compared = 23;
  const absl::Status status = Try(request).status();
  EXPECT_TRUE(absl::IsResourceExhausted(status));
  EXPECT_EQ(status.message(),
            "minimum_bayes_risk: candidates times their bytes: 24, the limit "
            "is 23");
}

TEST_F(RerankTest, TextsThatAreComparedHaveALimit) {
  limits_.bytes_compared = uint64_t{1} << 40;
  RerankRequest request =
      Parse<RerankRequest>("models: 'tiny' minimum_bayes_risk {}");
  request.add_candidates()->mutable_text()->set_text(std::string(300'000, 'x'));
  RerankResponse response;
  const absl::Status status =
      serving_->Answer(lmserve::Rerank, request, &response);
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
}

class NamedRerankerTest : public RerankTest {
 protected:
  NamedRerankerTest() {
    Serve("mt",
          "members { model: 'tiny@1' feature: 't' } "
          "members { model: 'flat' feature: 'f' } "
          "weights { key: 't' value: 0.5 } "
          "weights { key: 'f.words' value: -0.25 } "
          "weights { key: 'tm' value: 2 } normalization: MEAN ");
  }

  // Publishes a reranker, and serves the store anew.
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

// As if the request itself had told all of it.
TEST_F(NamedRerankerTest, BringsModelsWeightsAndNormalization) {
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
  const RerankResponse told =
      Rerank(absl::StrCat("models: 'tiny@1' models: 'flat' normalization: MEAN "
                          "weights { key: 'tiny@1' value: 0.5 } "
                          "weights { key: 'flat.words' value: -0.25 } "
                          "weights { key: 'tm' value: 2 } ",
                          kTwoWithFeatures));
  EXPECT_FALSE(told.has_reranker());
  ASSERT_EQ(Order(named), Order(told));
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(named.candidates(i).score(), told.candidates(i).score());
    EXPECT_THAT(named.candidates(i).features(),
                testing::ElementsAreArray(told.candidates(i).features()));
  }
}

TEST_F(NamedRerankerTest, WhatTheCandidatesBringIsNotAskedFor) {
  const RerankResponse response = Rerank(
      "reranker: 'mt' candidates { text { text: 'a dog' } "
      "  features { key: 'tm' value: -1 } features { key: 't' value: 7 } }");
  EXPECT_THAT(response.feature_names(),
              ElementsAre("t", "tm", "f", "f.unknown", "f.words", "f.end"));
  EXPECT_THAT(response.candidates(0).score(),
              IsNear(0.5 * 7 + 2 * -1 + -0.25 * 3));
}

// Without weights a member's ln P has weight 1, whoever brings it; and what is
// another member's feature was not brought.
TEST_F(NamedRerankerTest, WhatIsBroughtWeighsAsWhatIsAskedFor) {
  Serve("both",
        "members { model: 'tiny' feature: 't' } "
        "members { model: 'flat' feature: 'f' } ");
  const RerankResponse response = Rerank(
      "reranker: 'both' candidates { text { text: 'the cat' } "
      "  features { key: 't' value: 7 } }");
  EXPECT_THAT(response.candidates(0).score(), IsNear(7 + kFlatTheCat));
}

// Ids are looked up for the minimum Bayes risk where no member reads them.
TEST_F(NamedRerankerTest, IdsThatNoMemberReadsAreCheckedAllTheSame) {
  Serve("risk",
        "members { model: 'tiny' feature: 't' } "
        "minimum_bayes_risk {} ");
  EXPECT_EQ(Try("reranker: 'risk' "
                "candidates { text { ids { ids: 4000000000 } } "
                "  features { key: 't' value: 7 } }")
                .status(),
            absl::InvalidArgumentError(absl::StrCat(
                "candidates[0]: expected ids below ",
                (*store_->Get("tiny"))->model().vocabulary().size(),
                ", found 4000000000")));
}

TEST_F(NamedRerankerTest, OnlyATranslationModelIsReverse) {
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
       absl::InvalidArgumentError(
           "models: expected nothing beside a reranker")},
      {mt + "weights { key: 't' value: 1 }",
       absl::InvalidArgumentError(
           "weights: expected nothing beside a reranker")},
      {mt + "minimum_bayes_risk {}",
       absl::InvalidArgumentError(
           "minimum_bayes_risk: expected nothing beside a reranker")},
      {absl::StrCat("reranker: 'tiny' ", kTwo),
       absl::FailedPreconditionError(
           "reranker: 'tiny' is a model: expected a reranker")},
      {absl::StrCat("models: 'mt' ", kTwo),
       absl::FailedPreconditionError("'mt' is a reranker: expected a model")},
      {absl::StrCat("reranker: 'mt' ", kTwo),
       absl::InvalidArgumentError(
           "reranker 'mt': weights[tm]: no such feature; there are: t, "
           "t.unknown, t.words, t.end, f, f.unknown, f.words, f.end")},
      {"reranker: 'mt'", absl::InvalidArgumentError(
                             "candidates: expected a candidate, found none")},
  };
  for (const auto& refused : cases) {
    EXPECT_EQ(Try(refused.request).status(), refused.status) << refused.request;
  }
}

TEST_F(NamedRerankerTest, AMemberThatIsNotServedIsNamed) {
  Serve("lost", "members { model: 'gone@7' feature: 'g' }");
  const absl::Status status =
      Try(absl::StrCat("reranker: 'lost' ", kTwo)).status();
  EXPECT_TRUE(absl::IsNotFound(status));
  EXPECT_THAT(std::string(status.message()),
              testing::StartsWith("reranker 'lost': model 'gone' is not"));
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
      {tiny + tiny + kTwo, "models: expected every model once"},
      {tiny + kTwo + "normalization: 3",
       "normalization: expected 0 to 2, found 3"},
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
       "weights[lm]: no such feature; there are: tiny, tiny.unknown, "
       "tiny.words, tiny.end"},
      {tiny + feature + "candidates {}",
       "candidates[1].features: expected the features of candidates[0], 1 of "
       "them, found 0"},
      {tiny + "candidates {} " + feature,
       "candidates[1].features: expected the features of candidates[0], 0 of "
       "them, found 1"},
      {tiny + feature + "candidates { features { key: 'am' value: 1 } }",
       "candidates[1].features: expected the features of candidates[0], 'tm' "
       "is missing"},
      {tiny + feature + "candidates { features { key: 'tm' value: nan } }",
       "candidates[1].features[tm]: expected a finite number, found nan"},
      {tiny + "candidates { features { key: 'tm' value: inf } }",
       "candidates[0].features[tm]: expected a finite number, found inf"},
      {tiny + "candidates { features { key: 'tiny.words' value: 1 } }",
       "candidates[0].features: 'tiny.words' is the name of a model's feature"},
      {tiny + "candidates { text { text: '<s> the' } }",
       "candidates[0]: word 0 is the sentence marker <s>; a text comes "
       "without"},
  };
  for (const auto& refused : cases) {
    EXPECT_EQ(Try(refused.request).status(),
              absl::InvalidArgumentError(refused.message))
        << refused.request;
  }
}

// Calls about candidates that were asked about before, of models of every kind,
// beside those of a server that remembers nothing.
class RerankAgainTest : public testing::Test {
 protected:
  RerankAgainTest() {
    PublishTranslationModel(files_.path(), "de-en", "die katze hund ist",
                            "the cat dog is");
    PublishTranslationModel(files_.path(), "en-de", "the cat dog is",
                            "die katze hund ist");
    PublishRecurrentModel(files_.path(), "lstm", "the cat dog is");
    PublishBidirectionalModel(files_.path(), "both", "the cat dog is");
    store_ = files_.Open();
    Remember(1 << 20);
    forgetful_.emplace(*store_, limits_, BatcherOptions(), 0);
  }

  // Starts with an empty cache.
  void Remember(uint64_t bytes) {
    BatcherOptions counted;
    counted.on_batch = [this](const BatcherOptions::Batch& batch) {
      words_ += batch.words;
    };
    serving_.reset();
    serving_.emplace(*store_, limits_, counted, bytes);
  }

  static RerankResponse Answer(const TestServing& serving,
                               const RerankRequest& request) {
    RerankResponse response;
    const absl::Status status =
        serving.Answer(lmserve::Rerank, request, &response);
    EXPECT_TRUE(status.ok()) << status;
    return response;
  }

  // Expects the same answer of both, to the bit; returns how many words the
  // models had to read.
  size_t WordsRead(const std::string& text) {
    const RerankRequest request = Parse<RerankRequest>(text);
    const size_t before = words_;
    const RerankResponse response = Answer(*serving_, request);
    EXPECT_EQ(response.SerializeAsString(),
              Answer(*forgetful_, request).SerializeAsString());
    return words_ - before;
  }

  absl::Status Change(void (ModelStore::*change)(const std::string&, uint64_t,
                                                 ModelStore::Done),
                      const std::string& model, uint64_t version) {
    std::promise<absl::Status> changed;
    (*store_.*change)(model, version, [&](const absl::Status& status) {
      changed.set_value(status);
    });
    return changed.get_future().get();
  }

  const SmallStore files_;
  std::unique_ptr<ModelStore> store_;
  const Limits limits_;
  std::atomic<size_t> words_ = 0;  // that models have read
  std::optional<TestServing> serving_;
  std::optional<TestServing> forgetful_;
};

constexpr char kAllKinds[] =
    "models: ['tiny', 'lstm', 'both', 'de-en'] reverse_models: 'en-de' "
    "source { text: 'die katze' } "
    "candidates { text { text: 'the cat is' } } "
    "candidates { text { text: 'cat the unheard' } } "
    "candidates {} "
    "candidates { text { text: 'the dog' } } ";

TEST_F(RerankAgainTest, OtherWeightsCostNoWork) {
  EXPECT_GT(WordsRead(kAllKinds), 0u);
  for (const char* weighing :
       {"", "weights { key: 'lstm' value: 0.5 }",
        "weights { key: 'en-de' value: 2 } weights { key: 'tiny' value: 1 }",
        "normalization: MEAN", "normalization: POWER alpha: 0.5",
        "best: 1 minimum_bayes_risk {}"}) {
    EXPECT_EQ(WordsRead(absl::StrCat(kAllKinds, weighing)), 0u) << weighing;
  }
  EXPECT_EQ(serving_->score_cache().counts().misses, 5u * 4);
  EXPECT_EQ(serving_->score_cache().counts().hits, 6u * 5 * 4);
}

TEST_F(RerankAgainTest, OnlyWhatIsNewIsScored) {
  WordsRead(kAllKinds);
  const std::string more =
      absl::StrCat("candidates { text { text: 'the' } } ", kAllKinds,
                   "candidates { text { text: 'is it' } } "
                   "candidates { text { text: 'the dog' } } ");
  // Of the two new ones, "the </s>" and "is it </s>": tiny and lstm read five
  // words; both one and two, as often as there are; de-en its source of two,
  // with an end, and five; en-de one and two, with an end each, and the source
  // as a translation twice.
  EXPECT_EQ(WordsRead(more), 5u + 5 + (1 + 4) + (3 + 5) + (2 + 3 + 3 + 3));
  EXPECT_EQ(WordsRead(more), 0u);
}

TEST_F(RerankAgainTest, AnotherSourceIsAnotherQuestion) {
  const auto request = [](const char* source) {
    return absl::StrCat("models: 'de-en' source { text: '", source, "' } ",
                        kTwo);
  };
  const size_t words = WordsRead(request("die katze"));
  EXPECT_EQ(WordsRead(request("katze die")), words);
  EXPECT_EQ(WordsRead(request("die katze")), 0u);
}

TEST_F(RerankAgainTest, AnotherVersionIsAskedAnew) {
  const std::string request = absl::StrCat("models: 'tiny' ", kTwo);
  const size_t words = WordsRead(request);
  PublishArpa(files_.path(), "tiny", FlatArpa());
  std::promise<absl::Status> refreshed;
  store_->Refresh([&](const absl::Status& s) { refreshed.set_value(s); });
  ASSERT_TRUE(refreshed.get_future().get().ok());
  ASSERT_EQ(store_->Get("tiny").value()->version(), 3u);
  EXPECT_EQ(WordsRead(request), words);
  EXPECT_EQ(WordsRead(request), 0u);
}

TEST_F(RerankAgainTest, TheSameVersionLoadedAgainIsAskedAnew) {
  const std::string request = absl::StrCat("models: 'lstm' ", kTwo);
  const size_t words = WordsRead(request);
  ASSERT_TRUE(Change(&ModelStore::Unload, "lstm", 1).ok());
  ASSERT_TRUE(Change(&ModelStore::Load, "lstm", 1).ok());
  EXPECT_EQ(WordsRead(request), words);
}

TEST_F(RerankAgainTest, ACallThatIsCancelledLeavesNothing) {
  class CancelledCall final : public Call {
   public:
    bool IsCancelled() const override { return true; }
  };
  CancelledCall call;
  RerankResponse response;
  EXPECT_TRUE(absl::IsCancelled(Wait(lmserve::Rerank(
      **serving_, call, Parse<RerankRequest>(kAllKinds), &response))));
  EXPECT_EQ(serving_->score_cache().counts().bytes, 0u);
  EXPECT_GT(WordsRead(kAllKinds), 0u);
}

// The cache is too small for all of it, so that some is always asked anew.
TEST_F(RerankAgainTest, ManyAtATime) {
  Remember(1500);
  const RerankRequest request = Parse<RerankRequest>(kAllKinds);
  const std::string expected = Answer(*forgetful_, request).SerializeAsString();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 20; ++i) {
        EXPECT_EQ(Answer(*serving_, request).SerializeAsString(), expected);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(serving_->score_cache().counts().bytes, 1500u);
}

}  // namespace
}  // namespace lmserve
