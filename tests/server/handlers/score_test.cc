// SPDX-License-Identifier: Apache-2.0
#include "server/handlers/score.h"

#include <cmath>
#include <numeric>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/handlers/test_serving_context.h"
#include "tests/server/small_store.h"

namespace lmserve {
namespace {

using lm::v1::ScoreRequest;
using lm::v1::ScoreResponse;
using lm::v1::TextScore;
using testing::ElementsAre;

class ScoreTest : public testing::Test {
 protected:
  ScoreResponse Score(const std::string& request) {
    return Score(Parse<ScoreRequest>(request));
  }

  ScoreResponse Score(const ScoreRequest& request) {
    ScoreResponse response;
    const absl::Status status =
        serving_.Answer(HandleScore, request, &response);
    EXPECT_TRUE(status.ok()) << status;
    return response;
  }

  const SmallStore files_;
  const std::unique_ptr<const ModelStore> store_ = files_.Open();
  const Limits limits_ = {};
  const TestServing serving_{*store_, limits_};
};

TEST_F(ScoreTest, SumsTheWordsAndTheEnd) {
  const TextScore score =
      Score("model: 'tiny' texts { text: 'the cat is small' }").scores(0);
  const double expected = Ln({-0.3, -0.18, -0.22, -0.17, -0.21});
  EXPECT_THAT(score.log_prob(), IsNear(expected));
  EXPECT_THAT(score.known_log_prob(), IsNear(expected));
  EXPECT_EQ(score.word_count(), 5);
  EXPECT_EQ(score.unknown_count(), 0);
  EXPECT_THAT(score.perplexity(), IsNear(std::exp(-expected / 5)));
  EXPECT_THAT(score.known_perplexity(), IsNear(std::exp(-expected / 5)));
  EXPECT_FALSE(score.has_words());
}

TEST_F(ScoreTest, BacksOff) {
  const TextScore score =
      Score("model: 'tiny' texts { text: 'a cat' }").scores(0);
  EXPECT_THAT(score.log_prob(),
              IsNear(Ln({-0.6, -0.45 + -0.2 + -1.0, -0.25 + -0.9})));
}

TEST_F(ScoreTest, TheThreeFormsAgree) {
  const ScoreResponse response = Score(
      "model: 'tiny' per_word: true texts { text: ' the cat\\tis tall ' } "
      "texts { words { words: ['the', 'cat', 'is', 'tall'] } } "
      "texts { ids { ids: [3, 5, 7, 0] } }");
  for (const TextScore& score : response.scores()) {
    EXPECT_EQ(score.SerializeAsString(),
              response.scores(0).SerializeAsString());
  }
  EXPECT_EQ(response.scores_size(), 3);
}

TEST_F(ScoreTest, WithoutTheEnd) {
  const TextScore score = Score(
                              "model: 'tiny' include_end: false per_word: true "
                              "texts { text: 'the cat' }")
                              .scores(0);
  EXPECT_THAT(score.log_prob(), IsNear(Ln({-0.3, -0.18})));
  EXPECT_EQ(score.word_count(), 2);
  EXPECT_THAT(score.words().words(), ElementsAre("the", "cat"));
}

// 'zebra' counts as <unk>, after "<s> the" and before </s>.
TEST_F(ScoreTest, AnUnknownWordIsScoredAndCounted) {
  const TextScore score =
      Score("model: 'tiny' per_word: true texts { text: 'the zebra' }")
          .scores(0);
  const double unknown = -0.05 + -0.3 + -1.5;
  EXPECT_THAT(score.log_prob(), IsNear(Ln({-0.3, unknown, -0.9})));
  EXPECT_THAT(score.known_log_prob(), IsNear(Ln({-0.3, -0.9})));
  EXPECT_EQ(score.word_count(), 3);
  EXPECT_EQ(score.unknown_count(), 1);
  EXPECT_THAT(score.perplexity(),
              IsNear(std::exp(-Ln({-0.3, unknown, -0.9}) / 3)));
  EXPECT_THAT(score.known_perplexity(),
              IsNear(std::exp(-Ln({-0.3, -0.9}) / 2)));
}

TEST_F(ScoreTest, WithoutKnownWordsTheKnownPerplexityIsZero) {
  const TextScore score =
      Score("model: 'tiny' include_end: false texts { text: 'zebra' }")
          .scores(0);
  EXPECT_THAT(score.log_prob(), IsNear(Ln({-0.4 + -1.5})));
  EXPECT_EQ(score.known_log_prob(), 0);
  EXPECT_EQ(score.known_perplexity(), 0);
  EXPECT_EQ(score.unknown_count(), score.word_count());
}

TEST_F(ScoreTest, PerWord) {
  const TextScore score =
      Score("model: 'tiny' per_word: true texts { text: 'the zebra' }")
          .scores(0);
  EXPECT_THAT(score.words().words(), ElementsAre("the", "<unk>", "</s>"));
  EXPECT_THAT(score.words().log_probs(),
              ElementsAre(IsNear(Ln({-0.3})), IsNear(Ln({-0.05, -0.3, -1.5})),
                          IsNear(Ln({-0.9}))));
  EXPECT_THAT(score.words().unknown(), ElementsAre(false, true, false));
}

TEST_F(ScoreTest, AnImpossibleTextHasLogProbMinusInfinity) {
  const TextScore score =
      Score("model: 'flat' texts { text: 'the never cat' }").scores(0);
  EXPECT_EQ(score.log_prob(), -std::numeric_limits<double>::infinity());
  EXPECT_EQ(score.perplexity(), std::numeric_limits<double>::infinity());
}

// The sum of 10,000 floats in single precision would be too inexact.
TEST_F(ScoreTest, SumsAreDouble) {
  ScoreRequest request = Parse<ScoreRequest>("model: 'tiny' per_word: true");
  auto* words = request.add_texts()->mutable_words()->mutable_words();
  for (int i = 0; i < 10'000; ++i) {
    words->Add(i % 7 == 0 ? "zebra" : i % 3 == 0 ? "dog" : "cat");
  }
  const TextScore score = Score(request).scores(0);
  double all = 0, known = 0;
  for (int i = 0; i < score.words().words_size(); ++i) {
    all += score.words().log_probs(i);
    if (!score.words().unknown(i)) known += score.words().log_probs(i);
  }
  EXPECT_DOUBLE_EQ(score.log_prob(), all);
  EXPECT_DOUBLE_EQ(score.known_log_prob(), known);
}

TEST_F(ScoreTest, EachTextIsScoredAsIfAlone) {
  const char* texts[] = {"small", "the cat is small", "zebra zebra", "a dog"};
  ScoreRequest request = Parse<ScoreRequest>("model: 'tiny' per_word: true");
  for (const char* text : texts) request.add_texts()->set_text(text);
  const ScoreResponse response = Score(request);
  ASSERT_EQ(response.scores_size(), 4);
  for (int i = 0; i < 4; ++i) {
    const ScoreResponse alone = Score(absl::StrCat(
        "model: 'tiny' per_word: true texts { text: '", texts[i], "' }"));
    EXPECT_EQ(response.scores(i).SerializeAsString(),
              alone.scores(0).SerializeAsString());
  }
}

TEST_F(ScoreTest, NamesTheModel) {
  const struct {
    const char* model;
    uint64_t version;
  } cases[] = {{"tiny", 2}, {"tiny@1", 1}, {"tiny@stable", 1}, {"tiny@2", 2}};
  for (const auto& expected : cases) {
    const ScoreResponse response = Score(absl::StrCat(
        "model: '", expected.model, "' texts { text: 'the cat' }"));
    EXPECT_EQ(response.model().name(), "tiny");
    EXPECT_EQ(response.model().version(), expected.version) << expected.model;
  }
}

}  // namespace
}  // namespace lmserve
