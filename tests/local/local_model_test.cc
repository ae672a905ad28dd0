// SPDX-License-Identifier: Apache-2.0
#include "local/local_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "models/ngram/fast/ngram_model.h"
#include "tests/testing/temporary_directory.h"

namespace lmserve {
namespace {

using ::testing::HasSubstr;

constexpr char kArpa[] =
    "\\data\\\n"
    "ngram 1=6\n"
    "ngram 2=4\n"
    "\n"
    "\\1-grams:\n"
    "-1.5\t<unk>\n"
    "-2\t<s>\t-0.25\n"
    "-0.75\t</s>\n"
    "-0.5\ta\t-0.125\n"
    "-1\tb\t-0.5\n"
    "-99\tnever\n"
    "\n"
    "\\2-grams:\n"
    "-0.25\t<s> a\n"
    "-0.5\ta b\n"
    "-0.25\tb a\n"
    "-0.125\tb </s>\n"
    "\n"
    "\\end\\\n";
using Words = std::vector<WordId>;

constexpr double kLn10 = 2.302585092994045684;

class LocalModelTest : public ::testing::Test {
 protected:
  std::string ArpaPath() {
    const std::string path = directory_.path() + "/model.arpa";
    std::ofstream(path) << kArpa;
    return path;
  }

  LocalModel Model(bool literal = false) {
    absl::StatusOr<LocalModel> model =
        LocalModel::FromFile(ArpaPath(), literal);
    EXPECT_TRUE(model.ok()) << model.status();
    return *std::move(model);
  }

  TemporaryDirectory directory_;
};

TEST_F(LocalModelTest, ScoresTheWordsOfAnArpaFile) {
  const LocalModel model = Model();
  EXPECT_EQ(model.order(), 2);
  EXPECT_EQ(model.family(), "ngram");
  EXPECT_EQ(model.version(), 0u);
  EXPECT_FLOAT_EQ(model.begin_log10(), -2);
  const absl::StatusOr<LocalScore> score = model.Score("a b x");
  ASSERT_TRUE(score.ok()) << score.status();
  EXPECT_EQ(score->words, 3u);
  EXPECT_EQ(score->unknown, 1u);
  const double log10 = -0.25 + -0.5 + (-0.5 - 1.5) - 0.75;
  EXPECT_NEAR(score->log_prob(), log10 * kLn10, 1e-5);
}

TEST_F(LocalModelTest, LeavesOutMarkersIfAsked) {
  const LocalModel model = Model();
  const absl::string_view text = "a";
  const auto scores = model.Score({&text, 1}, {.begin = false, .end = false});
  ASSERT_TRUE(scores.ok()) << scores.status();
  EXPECT_NEAR(scores->front().log_prob(), -0.5 * kLn10, 1e-6);
}

TEST_F(LocalModelTest, ThreadsChangeNoBit) {
  const LocalModel model = Model();
  std::vector<std::string> lines;
  for (int i = 0; i < 300; ++i) {
    std::string line;
    for (int j = 0; j < i % 23; ++j) line += (i * 7 + j * 5) % 3 ? "a " : "b ";
    lines.push_back(line);
  }
  const std::vector<absl::string_view> texts(lines.begin(), lines.end());
  const auto one = model.Score(texts);
  ASSERT_TRUE(one.ok());
  for (int threads : {2, 3, 16, 1000}) {
    const auto several = model.Score(texts, {.threads = threads});
    ASSERT_TRUE(several.ok());
    ASSERT_EQ(several->size(), one->size());
    for (size_t i = 0; i < one->size(); ++i) {
      EXPECT_EQ((*several)[i].log_probs, (*one)[i].log_probs);
    }
  }
}

TEST_F(LocalModelTest, RefusesMarkersInTexts) {
  const LocalModel model = Model();
  const auto score = model.Score("a <s>");
  EXPECT_EQ(score.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(score.status().message()),
              HasSubstr("word 1: expected no sentence marker, found <s>"));
}

TEST_F(LocalModelTest, StatesGiveTheScoresOfTheText) {
  const LocalModel model = Model();
  const auto whole = model.Score("a b a");
  ASSERT_TRUE(whole.ok());
  const auto start = model.State();
  ASSERT_TRUE(start.ok());
  std::vector<std::vector<std::byte>> states = {*start};
  std::vector<float> log_probs;
  for (const char* word : {"a", "b", "a", "</s>"}) {
    const auto read = model.Extend(absl::MakeSpan(states),
                                   Words{model.vocabulary().Find(word)});
    ASSERT_TRUE(read.ok()) << read.status();
    log_probs.push_back(read->front());
  }
  EXPECT_EQ(log_probs, whole->log_probs);
  EXPECT_EQ(model.State("a b a").value(), [&] {
    std::vector<std::vector<std::byte>> again = {*start};
    for (const char* word : {"a", "b", "a"}) {
      EXPECT_TRUE(model
                      .Extend(absl::MakeSpan(again),
                              Words{model.vocabulary().Find(word)})
                      .ok());
    }
    return again.front();
  }());
}

TEST_F(LocalModelTest, ChecksStatesAndIds) {
  const LocalModel model = Model();
  std::vector<std::vector<std::byte>> states = {{}};
  EXPECT_THAT(
      std::string(
          model.Extend(absl::MakeSpan(states), Words{0}).status().message()),
      HasSubstr("state 0: expected 4 bytes, found 0"));
  states = {model.State().value()};
  EXPECT_THAT(
      std::string(
          model.Extend(absl::MakeSpan(states), Words{99}).status().message()),
      HasSubstr("word 0: expected an id below 6, found 99"));
  EXPECT_FALSE(model.Extend(absl::MakeSpan(states), Words{0, 1}).ok());
}

TEST_F(LocalModelTest, PredictsTheBestWords) {
  const LocalModel model = Model();
  const auto best = model.Predict("a b", 2);
  ASSERT_TRUE(best.ok());
  ASSERT_EQ(best->size(), 2u);
  EXPECT_EQ(model.vocabulary().word((*best)[0].word), "</s>");
  EXPECT_NEAR((*best)[0].log_prob, -0.125 * kLn10, 1e-6);
  EXPECT_EQ(model.Predict("a", 100)->size(), model.vocabulary().size());
  const auto all = model.Distribution("a b");
  ASSERT_TRUE(all.ok());
  EXPECT_EQ((*all)[(*best)[0].word], (*best)[0].log_prob);
}

TEST_F(LocalModelTest, GeneratesTheSameTextForASeed) {
  const LocalModel model = Model();
  const auto text = model.Generate("a", {.seed = 7, .max_words = 20});
  ASSERT_TRUE(text.ok()) << text.status();
  const auto again = model.Generate("a", {.seed = 7, .max_words = 20});
  EXPECT_EQ(text->words, again->words);
  EXPECT_EQ(text->log_probs.size(), text->words.size() + (text->ended ? 1 : 0));
}

TEST_F(LocalModelTest, ABeamFindsTheBestText) {
  const LocalModel model = Model();
  const auto found = model.Search("", 3, {.beam = 4, .max_words = 5});
  ASSERT_TRUE(found.ok()) << found.status();
  ASSERT_FALSE(found->empty());
  std::string text;
  for (WordId word : found->front().words) {
    text += std::string(model.vocabulary().word(word)) + " ";
  }
  EXPECT_NEAR(found->front().log_prob, model.Score(text)->log_prob(), 1e-5);
  EXPECT_FALSE(model.Search("", 1, {.beam = 0}).ok());
  EXPECT_EQ(model.Search("", 1, {.length_alpha = NAN}).status(),
            absl::InvalidArgumentError(
                "length_alpha: expected a finite number, found nan"));
}

TEST_F(LocalModelTest, RanksCandidates) {
  const LocalModel model = Model();
  const std::vector<absl::string_view> candidates = {"x x", "a b", "never"};
  const auto ranks = model.Rerank(candidates);
  ASSERT_TRUE(ranks.ok()) << ranks.status();
  EXPECT_EQ((*ranks)[0].index, 1u);
  EXPECT_EQ((*ranks)[1].index, 0u);
  EXPECT_EQ((*ranks)[2].index, 2u);
  EXPECT_LT((*ranks)[2].score, -999'000);  // a word of probability 0
  EXPECT_EQ(
      model.Rerank(candidates, INFINITY).status(),
      absl::InvalidArgumentError("alpha: expected a finite number, found inf"));
}

TEST_F(LocalModelTest, LiteralFilesHaveNoProbabilityOf0) {
  EXPECT_TRUE(std::isinf(Model().Score("never")->log_prob()));
  const double log_prob = Model(/*literal=*/true).Score("never")->log_prob();
  EXPECT_NEAR(log_prob, (-0.25 - 99 - 0.75) * kLn10, 1e-4);
}

TEST_F(LocalModelTest, BackoffWeightIsThatOfAnUnseenWord) {
  const LocalModel model = Model();
  const auto& ngrams =
      dynamic_cast<const NgramModel&>(*model.model().left_to_right());
  std::vector<std::byte> state = model.State("a b").value();
  const float weight = ngrams.BackoffWeight(ngrams.ContextsOf(state.data()));
  EXPECT_NEAR(weight, -0.5 * kLn10, 1e-6);
  const NgramModel::Step step =
      ngrams.ScoreWord(state.data(), model.vocabulary().unknown());
  EXPECT_NEAR(step.log_prob, weight - 1.5 * kLn10, 1e-5);
}

TEST_F(LocalModelTest, NamesWhatIsWrong) {
  EXPECT_EQ(LocalModel::FromFile("/no/such/file").status().code(),
            absl::StatusCode::kNotFound);
  const std::string path = directory_.path() + "/broken.arpa";
  std::ofstream(path) << "\\data\\\nngram 1=1\n\n\\1-grams:\nx\ta\n";
  const absl::Status status = LocalModel::FromFile(path).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("line 5"));
  EXPECT_FALSE(LocalModel::Open(directory_.path(), "nothing").ok());
}

TEST_F(LocalModelTest, FingerprintsTellModelsApart) {
  EXPECT_EQ(Model().fingerprint(), Model().fingerprint());
  EXPECT_NE(Model().fingerprint(), Model(/*literal=*/true).fingerprint());
}

}  // namespace
}  // namespace lmserve
