// SPDX-License-Identifier: Apache-2.0
#include "server/handlers/predict.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/handlers/test_serving_context.h"
#include "tests/server/small_store.h"

namespace lmserve {
namespace {

using lm::v1::NextWords;
using lm::v1::PredictRequest;
using lm::v1::PredictResponse;
using testing::ElementsAre;
using testing::ElementsAreArray;

constexpr WordId kUnknown = 0;  // of the tiny model

class PredictTest : public testing::Test {
 protected:
  PredictResponse Predict(const std::string& request) {
    PredictResponse response;
    const absl::Status status = serving_.Answer(
        HandlePredict, Parse<PredictRequest>(request), &response);
    EXPECT_TRUE(status.ok()) << status;
    return response;
  }

  // Finds the k best words after a context in the whole distribution.
  std::vector<ScoredWord> BruteForce(const std::vector<WordId>& context,
                                     size_t k, bool include_unknown) {
    const ModelHandle handle = store_->Get("tiny").value();
    const LanguageModel& model = *handle->model().left_to_right();
    std::vector<std::byte> state(model.state_size());
    model.Start(state.data());
    const LanguageModel::Query query = {
        state.data(), context, state.data(), {}};
    model.Score({&query, 1});
    const std::byte* row = state.data();
    std::vector<float> log_probs(model.vocabulary().size());
    model.Distribution({&row, 1}, log_probs.data());
    std::vector<ScoredWord> words;
    for (WordId w = 0; w < log_probs.size(); ++w) {
      if (std::isinf(log_probs[w])) continue;
      if (!include_unknown && w == kUnknown) continue;
      words.push_back({w, log_probs[w]});
    }
    std::sort(words.begin(), words.end(), Likelier);
    words.resize(std::min(words.size(), k));
    return words;
  }

  const SmallStore files_;
  const std::unique_ptr<const ModelStore> store_ = files_.Open();
  const Limits limits_ = {};
  const TestServing serving_{*store_, limits_};
};

TEST_F(PredictTest, AfterTheStart) {
  const NextWords best =
      Predict("model: 'tiny' contexts {} k: 3").predictions(0);
  EXPECT_THAT(best.words(), ElementsAre("the", "a", "</s>"));
  EXPECT_THAT(best.ids(), ElementsAre(3, 4, 2));
  EXPECT_THAT(best.log_probs(),
              ElementsAre(IsNear(Ln({-0.3})), IsNear(Ln({-0.6})),
                          IsNear(Ln({-0.4, -0.9}))));
}

TEST_F(PredictTest, EqualsTheSortedDistribution) {
  const std::vector<std::vector<WordId>> contexts = {
      {}, {3}, {3, 5}, {5, 7, 8}, {0}, {4, 6}, {9, 9}};
  std::string request = "model: 'tiny'";
  for (const std::vector<WordId>& context : contexts) {
    absl::StrAppend(&request, " contexts { ids {");
    for (WordId word : context) absl::StrAppend(&request, " ids: ", word);
    absl::StrAppend(&request, " } }");
  }
  for (int k = 1; k <= 10; ++k) {
    for (bool include : {false, true}) {
      const PredictResponse response = Predict(
          absl::StrCat(request, " k: ", k,
                       " include_unknown: ", include ? "true" : "false"));
      ASSERT_EQ(response.predictions_size(), contexts.size());
      for (size_t i = 0; i < contexts.size(); ++i) {
        const NextWords& best = response.predictions(i);
        std::vector<ScoredWord> words;
        words.reserve(best.ids_size());
        for (int j = 0; j < best.ids_size(); ++j) {
          words.push_back({best.ids(j), best.log_probs(j)});
        }
        EXPECT_THAT(words,
                    ElementsAreArray(BruteForce(contexts[i], k, include)))
            << "k " << k << ", context " << i;
      }
    }
  }
}

TEST_F(PredictTest, TiesAreInTheOrderOfIdsWithoutImpossibleWords) {
  EXPECT_THAT(Predict("model: 'flat' contexts {} k: 7").predictions(0).words(),
              ElementsAre("cat", "</s>", "<unk>", "the", "twin"));
}

TEST_F(PredictTest, UnknownIsLeftOutOnRequest) {
  EXPECT_THAT(Predict("model: 'flat' contexts {} k: 3 include_unknown: false")
                  .predictions(0)
                  .words(),
              ElementsAre("cat", "</s>", "the"));
}

TEST_F(PredictTest, WordsWithAPrefix) {
  EXPECT_THAT(
      Predict("model: 'flat' contexts {} prefix: 't'").predictions(0).words(),
      ElementsAre("the", "twin"));
  EXPECT_THAT(Predict("model: 'flat' contexts {} k: 1 prefix: 't'")
                  .predictions(0)
                  .words(),
              ElementsAre("the"));
  // <s> and words of probability 0 are never predicted.
  EXPECT_THAT(
      Predict("model: 'flat' contexts {} prefix: '<'").predictions(0).words(),
      ElementsAre("</s>", "<unk>"));
  const PredictResponse none =
      Predict("model: 'flat' contexts {} contexts {} prefix: 'n'");
  ASSERT_EQ(none.predictions_size(), 2);
  EXPECT_EQ(none.predictions(1).words_size(), 0);
  EXPECT_EQ(Predict("model: 'flat' contexts {} prefix: 'T'")
                .predictions(0)
                .words_size(),
            0);
}

// The words have the probabilities and the order that they have among all.
TEST_F(PredictTest, APrefixFiltersTheWholeDistribution) {
  const std::string request =
      "model: 'tiny' contexts { text: 'the cat' } contexts {} k: 100";
  const PredictResponse all = Predict(request);
  for (const std::string prefix : {"c", "d", "th", "<", "is"}) {
    const PredictResponse found =
        Predict(absl::StrCat(request, " prefix: '", prefix, "'"));
    for (int i = 0; i < all.predictions_size(); ++i) {
      NextWords expected;
      const NextWords& words = all.predictions(i);
      for (int j = 0; j < words.words_size(); ++j) {
        if (words.words(j).rfind(prefix, 0) != 0) continue;
        expected.add_words(words.words(j));
        expected.add_ids(words.ids(j));
        expected.add_log_probs(words.log_probs(j));
      }
      EXPECT_EQ(found.predictions(i).SerializeAsString(),
                expected.SerializeAsString())
          << prefix;
    }
  }
}

TEST_F(PredictTest, APrefixExcludesGivenWords) {
  PredictResponse response;
  const absl::Status status = serving_.Answer(
      HandlePredict,
      Parse<PredictRequest>("model: 'flat' contexts {} words: 'the' "
                            "prefix: 't'"),
      &response);
  EXPECT_EQ(status.message(),
            "prefix: expected none, because the request has words, found one");
}

TEST_F(PredictTest, KIsTenOrTheVocabularyByDefault) {
  // All ten words except <s>.
  EXPECT_EQ(Predict("model: 'tiny' contexts {}").predictions(0).ids_size(), 9);
  EXPECT_EQ(Predict("model: 'flat' contexts {}").predictions(0).ids_size(), 5);
}

TEST_F(PredictTest, GivenWordsInTheirOrder) {
  const NextWords rated = Predict(
                              "model: 'tiny' contexts { text: 'the cat' } "
                              "words: ['barks', 'is', '</s>', 'zebra', 'is']")
                              .predictions(0);
  EXPECT_THAT(rated.ids(), ElementsAre(9, 7, 2, 0, 7));
  EXPECT_THAT(
      rated.log_probs(),
      ElementsAre(IsNear(Ln({-0.2, -0.25, -1.4})), IsNear(Ln({-0.22})),
                  IsNear(Ln({-0.2, -0.25, -0.9})),
                  IsNear(Ln({-0.2, -0.25, -1.5})), IsNear(Ln({-0.22}))));
}

TEST_F(PredictTest, GivenWordsForEveryContext) {
  const PredictResponse response = Predict(
      "model: 'tiny' contexts { text: 'the' } contexts {} words: ['a', 'dog']");
  ASSERT_EQ(response.predictions_size(), 2);
  EXPECT_THAT(
      response.predictions(0).log_probs(),
      ElementsAre(IsNear(Ln({-0.05, -0.3, -0.8})), IsNear(Ln({-0.05, -0.5}))));
  EXPECT_THAT(response.predictions(1).log_probs(),
              ElementsAre(IsNear(Ln({-0.6})), IsNear(Ln({-0.4, -1.1}))));
}

TEST_F(PredictTest, KIsIgnoredWithGivenWords) {
  EXPECT_EQ(Predict("model: 'tiny' contexts {} words: ['a'] k: 1000000")
                .predictions(0)
                .ids_size(),
            1);
}

TEST_F(PredictTest, NamesTheModel) {
  const PredictResponse response =
      Predict("model: 'tiny@stable' contexts {} k: 1");
  EXPECT_EQ(response.model().name(), "tiny");
  EXPECT_EQ(response.model().version(), 1);
}

}  // namespace
}  // namespace lmserve
