// SPDX-License-Identifier: Apache-2.0
//
// Every RPC with a bidirectional model beside a left-to-right model: what each
// model answers, and which requests the server refuses.

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "models/text.h"
#include "server/handlers/generation.h"
#include "server/handlers/model_management.h"
#include "server/handlers/predict.h"
#include "server/handlers/rerank.h"
#include "server/handlers/score.h"
#include "tests/server/handlers/test_serving_context.h"
#include "tests/server/small_store.h"
#include "tests/testing/neural_models.h"
#include "tests/testing/ngram_models.h"
#include "tests/testing/status_text.h"

namespace lmserve {
namespace {

using lm::v1::NextWords;
using testing::ElementsAre;
using testing::ElementsAreArray;

constexpr char kText[] = "the cat is small\na dog barks\n";

// A store with the bidirectional model "both" and the left-to-right model
// "tiny".
class BidirectionalServerTest : public testing::Test {
 protected:
  BidirectionalServerTest() {
    PublishBidirectionalModel(directory_.path(), "both", kText);
    PublishTinyModel(directory_.path(), "tiny");
    store_ = ModelStore::Open(directory_.path()).value();
    handle_ = store_->Get("both").value();
  }

  // Returns the answer to a request, or its error.
  template <typename Request, typename Response>
  absl::StatusOr<Response> Answer(
      Task<absl::Status> (*handler)(const ServingContext&, Call&,
                                    const Request&, Response*),
      const std::string& request) const {
    Response response;
    absl::Status status =
        TestServing(*store_, limits_)
            .Answer(handler, Parse<Request>(request), &response);
    if (!status.ok()) return status;
    return response;
  }

  std::string PredictError(const std::string& request) const {
    return TextOf(Answer(HandlePredict, request).status());
  }

  const BidirectionalModel& model() const {
    return *handle_->model().bidirectional();
  }

  std::vector<WordId> Ids(absl::string_view text) const {
    std::vector<WordId> ids;
    for (absl::string_view word : SplitWords(text)) {
      ids.push_back(model().vocabulary().Find(word));
    }
    return ids;
  }

  std::vector<float> Scored(absl::string_view text) const {
    const std::vector<WordId> words = Ids(text);
    std::vector<float> log_probs(words.size());
    const BidirectionalModel::Sentence sentence = {words,
                                                   absl::MakeSpan(log_probs)};
    model().Score({&sentence, 1});
    return log_probs;
  }

  double PseudoLogLikelihood(absl::string_view text) const {
    const std::vector<float> log_probs = Scored(text);
    return std::accumulate(log_probs.begin(), log_probs.end(), 0.0);
  }

  // Returns the k best words of a gap, without words of probability 0.
  std::vector<ScoredWord> Filled(absl::string_view before,
                                 absl::string_view after, size_t k) const {
    const std::vector<WordId> left = Ids(before), right = Ids(after);
    const BidirectionalModel::Gap gap = {left, right};
    std::vector<ScoredWord> best(k);
    model().Fill({&gap, 1}, k, absl::MakeSpan(best));
    while (std::isinf(best.back().log_prob)) best.pop_back();
    return best;
  }

  static std::vector<ScoredWord> Words(const NextWords& next) {
    std::vector<ScoredWord> words;
    words.reserve(next.ids_size());
    for (int i = 0; i < next.ids_size(); ++i) {
      words.push_back({next.ids(i), next.log_probs(i)});
    }
    return words;
  }

  const TemporaryDirectory directory_;
  Limits limits_;
  std::unique_ptr<const ModelStore> store_;
  ModelHandle handle_;
};

TEST_F(BidirectionalServerTest, ScoresEachWordGivenTheOthers) {
  const auto response =
      Answer(HandleScore,
             "model: 'both' per_word: true "
             "texts { text: 'the zebra is small' } texts { text: 'barks' }")
          .value();
  EXPECT_EQ(response.model().name(), "both");
  ASSERT_EQ(response.scores_size(), 2);
  const lm::v1::TextScore& score = response.scores(0);
  const std::vector<float> expected = Scored("the zebra is small");
  EXPECT_THAT(score.words().words(),
              ElementsAre("the", "<unk>", "is", "small"));
  EXPECT_THAT(score.words().log_probs(), ElementsAreArray(expected));
  const double sum = PseudoLogLikelihood("the zebra is small");
  EXPECT_THAT(score.log_prob(), IsNear(sum));
  EXPECT_EQ(score.word_count(), 4);
  EXPECT_EQ(score.unknown_count(), 1);
  EXPECT_THAT(score.known_log_prob(), IsNear(sum - expected[1]));
  EXPECT_THAT(score.perplexity(), IsNear(std::exp(-sum / 4)));
  EXPECT_EQ(response.scores(1).word_count(), 1);
}

TEST_F(BidirectionalServerTest, RefusesToScoreUnfinishedTexts) {
  EXPECT_EQ(
      TextOf(Answer(HandleScore,
                    "model: 'both' include_end: false texts { text: 'the' }")
                 .status()),
      "FAILED_PRECONDITION: include_end: 'both' is a bidirectional model: it "
      "cannot "
      "score unfinished texts; it scores, reranks and fills gaps");
  EXPECT_TRUE(Answer(HandleScore,
                     "model: 'tiny' include_end: false texts { text: 'the' }")
                  .ok());
}

// The model reads a text once for each of its words.
TEST_F(BidirectionalServerTest, TheWordsReadHaveALimit) {
  limits_.words_read = 13;
  const std::string texts =
      "texts { text: 'a dog' } texts { text: 'a dog is' }";
  EXPECT_TRUE(Answer(HandleScore, "model: 'both' " + texts).ok());
  limits_.words_read = 12;
  EXPECT_EQ(TextOf(Answer(HandleScore, "model: 'both' " + texts).status()),
            "RESOURCE_EXHAUSTED: words to read (a text of n words is read n "
            "times): expected at most 12, found 13");
  EXPECT_EQ(TextOf(Answer(HandleRerank,
                          "models: 'both' candidates { text { "
                          "text: 'a a a a' } }")
                       .status()),
            "RESOURCE_EXHAUSTED: words to read (a text of n words is read n "
            "times): expected at most 12, found 16");
  EXPECT_TRUE(Answer(HandleScore, "model: 'tiny' " + texts).ok());
}

TEST_F(BidirectionalServerTest, FillsGaps) {
  const auto response =
      Answer(
          HandlePredict,
          "model: 'both' k: 3 contexts { text: 'the' } "
          "contexts { text: 'a dog' } contexts {} "
          "suffixes { text: 'is small' } suffixes {} suffixes { text: 'cat' }")
          .value();
  EXPECT_EQ(response.model().name(), "both");
  ASSERT_EQ(response.predictions_size(), 3);
  EXPECT_THAT(Words(response.predictions(0)),
              ElementsAreArray(Filled("the", "is small", 3)));
  EXPECT_THAT(Words(response.predictions(1)),
              ElementsAreArray(Filled("a dog", "", 3)));
  EXPECT_THAT(Words(response.predictions(2)),
              ElementsAreArray(Filled("", "cat", 3)));
}

TEST_F(BidirectionalServerTest, WithoutSuffixesAllAreEmpty) {
  const auto without =
      Answer(HandlePredict, "model: 'both' contexts { text: 'the' }").value();
  const auto with = Answer(HandlePredict,
                           "model: 'both' contexts { text: 'the' } suffixes {}")
                        .value();
  EXPECT_EQ(without.SerializeAsString(), with.SerializeAsString());
}

TEST_F(BidirectionalServerTest, FillsGapsOnlyWithWords) {
  const NextWords all =
      Answer(
          HandlePredict,
          absl::StrCat("model: 'both' include_unknown: false contexts {} k: ",
                       model().vocabulary().size()))
          .value()
          .predictions(0);
  EXPECT_THAT(all.words(),
              testing::UnorderedElementsAre("the", "cat", "is", "small", "a",
                                            "dog", "barks"));
}

TEST_F(BidirectionalServerTest, RatesGivenWordsInAGap) {
  const std::string gap =
      "model: 'both' contexts { text: 'the' } suffixes { text: 'is small' } ";
  const NextWords rated =
      Answer(HandlePredict, gap + "words: ['dog', 'cat', 'zebra', 'dog']")
          .value()
          .predictions(0);
  EXPECT_THAT(rated.words(), ElementsAre("dog", "cat", "<unk>", "dog"));
  EXPECT_EQ(rated.log_probs(1), Scored("the cat is small")[1]);
  EXPECT_EQ(rated.log_probs(3), rated.log_probs(0));
  EXPECT_EQ(PredictError(gap + "words: ['dog', '</s>']"),
            "INVALID_ARGUMENT: words[1]: expected a word other than </s>, "
            "which is never predicted in a gap");
}

TEST_F(BidirectionalServerTest, SuffixesAreChecked) {
  EXPECT_EQ(PredictError("model: 'tiny' contexts {} suffixes {}"),
            "FAILED_PRECONDITION: suffixes: 'tiny' is a left-to-right model: "
            "it cannot read what comes after a gap; it scores, predicts the "
            "next word, reranks and generates");
  EXPECT_EQ(PredictError("model: 'both' contexts {} contexts {} suffixes {}"),
            "INVALID_ARGUMENT: suffixes: expected none, or one for each of 2 "
            "contexts, found 1");
  EXPECT_EQ(PredictError("model: 'both' contexts {} "
                         "suffixes { text: 'the </s>' }"),
            "INVALID_ARGUMENT: suffixes[0]: word 1: expected no sentence "
            "marker, found </s>");
  limits_.words = 5;
  EXPECT_EQ(
      PredictError("model: 'both' contexts { text: 'a a a' } "
                   "suffixes { text: 'a a a' }"),
      "RESOURCE_EXHAUSTED: words in the request: expected at most 5, found 6");
}

TEST_F(BidirectionalServerTest, RerankBesideALeftToRightModel) {
  const auto response =
      Answer(HandleRerank,
             "models: 'both' models: 'tiny' normalization: NORMALIZATION_MEAN "
             "candidates { text { text: 'the dog is small' } } candidates {}")
          .value();
  ASSERT_EQ(response.candidates_size(), 2);
  EXPECT_THAT(response.feature_names(),
              ElementsAre("both", "both.unknown", "both.words", "both.end",
                          "tiny", "tiny.unknown", "tiny.words", "tiny.end"));
  const auto& first = response.candidates(0).index() == 0
                          ? response.candidates(0)
                          : response.candidates(1);
  EXPECT_THAT(first.features(0),
              IsNear(PseudoLogLikelihood("the dog is small") / 4));
  EXPECT_EQ(first.features(2), 4);
  EXPECT_EQ(first.features(3), 0);  // the model does not predict </s>
  EXPECT_EQ(first.features(6), 5);  // the words and </s>
  // A text without words is not divided by its length.
  const auto& empty = response.candidates(0).index() == 1
                          ? response.candidates(0)
                          : response.candidates(1);
  EXPECT_EQ(empty.features(0), 0);
  EXPECT_EQ(empty.features(2), 0);
  EXPECT_THAT(empty.features(4), IsNear(Ln({-0.4, -0.9})));
  EXPECT_EQ(empty.features(7), empty.features(4));
}

TEST_F(BidirectionalServerTest, DoesNotGenerate) {
  const TestServing serving(*store_, limits_);
  Call call;
  lm::v1::GenerateRequest request;
  request.set_model("both@1");
  EXPECT_EQ(
      TextOf(Generation::Start(*serving, call, request).status()),
      "FAILED_PRECONDITION: model: 'both' is a bidirectional model: it cannot "
      "generate; it scores, reranks and fills gaps");
  request.set_model("tiny");
  EXPECT_TRUE(Generation::Start(*serving, call, request).ok());
}

TEST_F(BidirectionalServerTest, ModelInfoHasTheKind) {
  Call call;
  lm::v1::ListModelsResponse response;
  EXPECT_TRUE(HandleListModels(*store_, call, {}, &response).ok());
  ASSERT_EQ(response.models_size(), 2);
  EXPECT_TRUE(response.refused().empty());
  EXPECT_EQ(response.models(0).family(), "bidirectional");
  EXPECT_TRUE(response.models(0).bidirectional());
  EXPECT_EQ(response.models(0).state_bytes(), 0);
  EXPECT_EQ(response.models(0).vocabulary_size(), 10);
  EXPECT_FALSE(response.models(1).bidirectional());
  EXPECT_EQ(response.models(1).state_bytes(), 4);
}

}  // namespace
}  // namespace lmserve
