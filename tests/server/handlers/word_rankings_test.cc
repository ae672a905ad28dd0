// SPDX-License-Identifier: Apache-2.0
//
// Score with alternatives and ranks, with models of every kind: all values of a
// word are those of one distribution, and the log-probabilities are those of
// Score without them.

#include "server/handlers/word_rankings.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "models/distribution.h"
#include "server/handlers/predict.h"
#include "tests/server/handlers/score_fixture.h"

namespace lmserve {
namespace {

using lm::v1::NextWords;
using lm::v1::PredictRequest;
using lm::v1::PredictResponse;
using lm::v1::ScoreRequest;
using lm::v1::ScoreResponse;
using lm::v1::WordScores;
using testing::ElementsAreArray;
using testing::HasSubstr;

class WordRankingsTest : public ScoreFixture {};

INSTANTIATE_TEST_SUITE_P(Models, WordRankingsTest, kModelsOfEveryKind,
                         NameOfModel);

TEST_P(WordRankingsTest, AllValuesAreThoseOfOneDistribution) {
  const std::vector<std::string> texts = {"the cat is", "", "a zebra",
                                          "the the the the dog"};
  ScoreRequest request = Request(GetParam(), texts);
  request.set_per_word(true);
  const ScoreResponse plain = TryScore(request).value();
  request.set_per_word(false);
  request.set_alternatives(1000);  // more than there are
  request.set_ranks(true);
  const ScoreResponse ranked = TryScore(request).value();
  // The probabilities of these do not sum to 1.
  const bool is_handmade =
      GetParam() == std::string("tiny") || GetParam() == std::string("flat");
  const size_t vocabulary =
      store_->Get(GetParam()).value()->model().vocabulary().size();
  for (size_t i = 0; i < texts.size(); ++i) {
    const WordScores& scores = ranked.scores(i).words();
    EXPECT_THAT(scores.log_probs(),
                ElementsAreArray(plain.scores(i).words().log_probs()));
    EXPECT_THAT(scores.words(),
                ElementsAreArray(plain.scores(i).words().words()));
    EXPECT_EQ(ranked.scores(i).log_prob(), plain.scores(i).log_prob());
    ASSERT_EQ(scores.ranks_size(), scores.words_size());
    ASSERT_EQ(scores.entropies_size(), scores.words_size());
    ASSERT_EQ(scores.alternatives_size(), scores.words_size());
    for (int j = 0; j < scores.words_size(); ++j) {
      const NextWords& best = scores.alternatives(j);
      EXPECT_LT(best.words_size(), vocabulary);  // <s> is impossible
      double sum = 0, entropy = 0;
      for (float log_prob : best.log_probs()) {
        sum += std::exp(double{log_prob});
        entropy -= std::exp(double{log_prob}) * log_prob;
      }
      if (!is_handmade) {
        EXPECT_NEAR(sum, 1, 1e-3);
      }
      EXPECT_NEAR(scores.entropies(j), entropy, 1e-4);
      // A possible word is at its rank.
      if (std::isinf(scores.log_probs(j))) continue;
      const int place = static_cast<int>(scores.ranks(j)) - 1;
      ASSERT_LT(place, best.words_size());
      EXPECT_EQ(best.words(place), scores.words(j));
      EXPECT_EQ(best.log_probs(place), scores.log_probs(j));
    }
  }
}

TEST_P(WordRankingsTest, WhatIsAskedForDoesNotChangeTheRest) {
  ScoreRequest request = Request(GetParam(), {"the cat", "a dog barks"});
  request.set_alternatives(3);
  request.set_ranks(true);
  const ScoreResponse both = TryScore(request).value();
  request.set_ranks(false);
  const ScoreResponse alternatives = TryScore(request).value();
  request.set_alternatives(0);
  request.set_ranks(true);
  const ScoreResponse ranks = TryScore(request).value();
  for (int i = 0; i < 2; ++i) {
    WordScores expected = both.scores(i).words();
    EXPECT_EQ(expected.alternatives(0).words_size(), 3);
    EXPECT_EQ(ranks.scores(i).words().alternatives_size(), 0);
    EXPECT_EQ(alternatives.scores(i).words().ranks_size(), 0);
    expected.clear_alternatives();
    EXPECT_EQ(ranks.scores(i).words().SerializeAsString(),
              expected.SerializeAsString());
    expected = both.scores(i).words();
    expected.clear_ranks();
    expected.clear_entropies();
    EXPECT_EQ(alternatives.scores(i).words().SerializeAsString(),
              expected.SerializeAsString());
  }
}

// A text's answer does not depend on the others, of which there are more than
// are read side by side.
TEST_P(WordRankingsTest, ManyTexts) {
  std::vector<std::string> texts;
  for (int i = 0; i < 150; ++i) {
    texts.push_back(i % 3 == 0 ? "the cat is small" : "a dog");
  }
  ScoreRequest request = Request(GetParam(), texts);
  request.set_alternatives(2);
  request.set_ranks(true);
  const ScoreResponse all = TryScore(request).value();
  for (int i : {0, 1, 63, 64, 149}) {
    ScoreRequest single = request;
    single.clear_texts();
    *single.add_texts() = request.texts(i);
    if (!request.sources().empty()) {
      single.clear_sources();
      *single.add_sources() = request.sources(i);
    }
    EXPECT_EQ(all.scores(i).SerializeAsString(),
              TryScore(single).value().scores(0).SerializeAsString());
  }
}

TEST_P(WordRankingsTest, AlternativesAreThoseOfPredict) {
  if (GetParam() == std::string("de-en")) GTEST_SKIP() << "does not predict";
  ScoreRequest request = Request(GetParam(), {"the cat is"});
  request.set_alternatives(4);
  const ScoreResponse response = TryScore(request).value();
  PredictRequest predict;
  predict.set_model(GetParam());
  predict.set_k(4);
  predict.add_contexts()->set_text("the");
  if (GetParam() == std::string("both")) predict.add_suffixes()->set_text("is");
  PredictResponse predicted;
  ASSERT_TRUE(TestServing(*store_, limits_)
                  .Answer(HandlePredict, predict, &predicted)
                  .ok());
  EXPECT_EQ(response.scores(0).words().alternatives(1).SerializeAsString(),
            predicted.predictions(0).SerializeAsString());
}

TEST_F(WordRankingsTest, TooManyAreRefused) {
  limits_.predictions = 20;
  ScoreRequest request = Request("tiny", {"the cat is small"});
  request.set_alternatives(4);  // of 5 words
  EXPECT_TRUE(TryScore(request).ok());
  request.set_alternatives(5);
  const absl::Status status = TryScore(request).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(status.message(), HasSubstr("alternatives times words"));
}

}  // namespace
}  // namespace lmserve
