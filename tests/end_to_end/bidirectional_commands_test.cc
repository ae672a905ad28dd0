// SPDX-License-Identifier: Apache-2.0
//
// Tests bidirectional networks with all three programs: lm_trainer trains one,
// lm_server serves it, and lm_client calls the server.

#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <tuple>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model_store/loaded_version.h"
#include "models/text.h"
#include "tests/end_to_end/programs.h"
#include "tests/testing/temporary_directory.h"

namespace lmserve {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::StartsWith;

class BidirectionalCommandsTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    directory_ = std::make_unique<TemporaryDirectory>();
    for (const auto& [file, sentences, seed] :
         {std::tuple{"train", "2000", "1"}, {"valid", "200", "2"}}) {
      WriteText(
          directory_->File(file),
          RunTrainer({"demo-corpus", "--sentences", sentences, "--seed", seed})
              .output);
    }
    const Outcome trained = RunTrainer(
        Store({"recurrent", "--bidirectional", "--cell", "gru", "--layers", "2",
               "--units", "16", "--corpus", directory_->File("train"),
               "--valid", directory_->File("valid"), "--epochs", "3",
               "--learning-rate", "0.01", "--threads", "1"}));
    ASSERT_EQ(trained.output, "both@1\n") << trained.errors;
    model_ = LoadModel(directory_->File("store"), "both", 1).value();
    server_ = std::make_unique<ServerProcess>(directory_->File("store"));
    ASSERT_NE(server_->address(), "") << server_->process().Errors();
  }

  // If a program failed to start, each test fails for that reason.
  void SetUp() override {
    ASSERT_TRUE(server_ != nullptr && !server_->address().empty())
        << "SetUpTestSuite() has failed";
  }

  static void TearDownTestSuite() {
    server_.reset();
    model_.reset();
    directory_.reset();
  }

  // Returns the arguments of a lm_trainer command for the model.
  static Arguments Store(Arguments arguments) {
    arguments.insert(arguments.end(),
                     {"--store", directory_->File("store"), "--model", "both"});
    return arguments;
  }

  static std::string Trainer(const Arguments& arguments) {
    const Outcome outcome = RunTrainer(Store(arguments));
    EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
    return outcome.output;
  }

  static std::string Client(const Arguments& arguments) {
    const Outcome outcome = server_->Client(arguments);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
    return outcome.output;
  }

  static std::vector<json> ClientJson(Arguments arguments) {
    arguments.insert(arguments.begin(), "--json");
    std::vector<json> lines;
    const std::string output = Client(arguments);
    for (absl::string_view line :
         absl::StrSplit(output, '\n', absl::SkipEmpty())) {
      lines.push_back(json::parse(std::string(line)));
    }
    return lines;
  }

  static std::vector<WordId> Ids(absl::string_view text) {
    std::vector<WordId> ids;
    for (absl::string_view word : SplitWords(text)) {
      ids.push_back(model_->model().vocabulary().Find(word));
    }
    return ids;
  }

  static std::vector<ScoredWord> Fill(absl::string_view before,
                                      absl::string_view after, size_t k) {
    const std::vector<WordId> left = Ids(before), right = Ids(after);
    const BidirectionalModel::Gap gap = {left, right};
    std::vector<ScoredWord> best(k);
    model_->model().bidirectional()->Fill({&gap, 1}, k, absl::MakeSpan(best));
    return best;
  }

  static std::string Word(const ScoredWord& word) {
    return std::string(model_->model().vocabulary().word(word.word));
  }

  static double PseudoLogLikelihood(absl::string_view text) {
    const std::vector<WordId> words = Ids(text);
    std::vector<float> log_probs(words.size());
    const BidirectionalModel::Sentence sentence = {words,
                                                   absl::MakeSpan(log_probs)};
    model_->model().bidirectional()->Score({&sentence, 1});
    double sum = 0;
    for (float log_prob : log_probs) sum += log_prob;
    return sum;
  }

  static std::unique_ptr<TemporaryDirectory> directory_;
  static ModelHandle model_;
  static std::unique_ptr<ServerProcess> server_;
};

std::unique_ptr<TemporaryDirectory> BidirectionalCommandsTest::directory_;
ModelHandle BidirectionalCommandsTest::model_;
std::unique_ptr<ServerProcess> BidirectionalCommandsTest::server_;

constexpr char kGood[] = "the cat is small .";
constexpr char kBad[] = "small is the cat .";

TEST_F(BidirectionalCommandsTest, EvaluateReportsPseudoPerplexity) {
  const Arguments evaluate = {"evaluate", "--corpus",
                              directory_->File("valid")};
  Arguments as_json = evaluate;
  as_json.push_back("--json");
  const json numbers = json::parse(Trainer(as_json));
  std::vector<std::string> keys;
  for (const auto& [key, value] : numbers.items()) keys.push_back(key);
  EXPECT_THAT(keys, testing::UnorderedElementsAre(
                        "tokens", "oov", "log_prob", "perplexity",
                        "perplexity_excluding_oov", "words_per_second"));
  // Better than an untrained network.
  EXPECT_LT(numbers["perplexity"], 60);
  const double sum = numbers["log_prob"], tokens = numbers["tokens"];
  EXPECT_NEAR(numbers["perplexity"], std::exp(-sum / tokens), 1e-6);
  EXPECT_THAT(Trainer(evaluate),
              HasSubstr(absl::StrFormat("pseudo_perplexity         %.4f\n",
                                        numbers["perplexity"].get<double>())));
  const Outcome stream = RunTrainer(
      Store({"evaluate", "--stream", "--corpus", directory_->File("valid")}));
  EXPECT_NE(stream.exit_code, 0);
  EXPECT_THAT(stream.errors,
              HasSubstr("--stream: a bidirectional model scores sentence by "
                        "sentence"));
}

TEST_F(BidirectionalCommandsTest, InspectFillsAGapAtTheEnd) {
  const std::string text = Trainer({"inspect", "--next", "the cat", "-k", "2"});
  EXPECT_THAT(text, HasSubstr("family      bidirectional\n"));
  EXPECT_THAT(text, testing::Not(HasSubstr("\nstate  ")));
  const std::vector<ScoredWord> best = Fill("the cat", "", 2);
  EXPECT_THAT(text, testing::EndsWith(absl::StrFormat(
                        "in <s> the cat ___ </s>\n%10.4f  %s\n%10.4f  %s\n",
                        best[0].log_prob, Word(best[0]), best[1].log_prob,
                        Word(best[1]))));
}

TEST_F(BidirectionalCommandsTest, PredictWithSuffixes) {
  const std::vector<json> lines =
      ClientJson({"predict", "-k", "4", "--suffix", "is small .", "--suffix",
                  "", "the", "the cat is"});
  ASSERT_EQ(lines.size(), 2);
  const std::vector<std::vector<ScoredWord>> expected = {
      Fill("the", "is small .", 4), Fill("the cat is", "", 4)};
  EXPECT_EQ(lines[0]["context"], "the");
  EXPECT_EQ(lines[0]["suffix"], "is small .");
  EXPECT_EQ(lines[1]["suffix"], "");
  for (int i = 0; i < 2; ++i) {
    ASSERT_EQ(lines[i]["next"].size(), 4);
    for (int j = 0; j < 4; ++j) {
      EXPECT_EQ(lines[i]["next"][j]["word"], Word(expected[i][j]));
      EXPECT_NEAR(lines[i]["next"][j]["log_prob"], expected[i][j].log_prob,
                  1e-5);
    }
  }
}

TEST_F(BidirectionalCommandsTest, PredictAsText) {
  const ScoredWord best = Fill("the", "is small .", 1)[0];
  EXPECT_EQ(Client({"predict", "-k", "1", "--suffix", "is small .", "the"}),
            absl::StrFormat("in: <s> the ___ is small . </s>\n"
                            "%10.4f  %7.3f %%  %s\n",
                            best.log_prob, 100 * std::exp(best.log_prob),
                            Word(best)));
}

TEST_F(BidirectionalCommandsTest, ScoreAndRerank) {
  const std::vector<json> scores = ClientJson({"score", kGood, kBad});
  ASSERT_EQ(scores.size(), 2);
  EXPECT_NEAR(scores[0]["log_prob"], PseudoLogLikelihood(kGood), 1e-5);
  EXPECT_EQ(scores[0]["words"], 5);
  EXPECT_GT(scores[0]["log_prob"], scores[1]["log_prob"]);
  const std::vector<json> ranked = ClientJson({"rerank", kBad, kGood});
  ASSERT_EQ(ranked.size(), 2);
  EXPECT_EQ(ranked[0]["index"], 1);
  EXPECT_NEAR(ranked[0]["features"]["both"], PseudoLogLikelihood(kGood), 1e-5);
  EXPECT_EQ(ranked[0]["features"]["both.words"], 5);
}

TEST_F(BidirectionalCommandsTest, UnsupportedCallsFail) {
  const Outcome generated = server_->Client({"generate", "the cat"});
  EXPECT_EQ(generated.exit_code, 1);
  EXPECT_THAT(generated.errors,
              StartsWith("lm_client: FAILED_PRECONDITION: model: 'both' is a "
                         "bidirectional model: it cannot generate; "));
  // The error of a stream has the number of the request.
  const Outcome unfinished = server_->Client({"score", "--no-end", "the cat"});
  EXPECT_EQ(unfinished.exit_code, 1);
  EXPECT_THAT(
      unfinished.errors,
      StartsWith("lm_client: FAILED_PRECONDITION: request 0: include_end: "));
  const Outcome suffixes =
      server_->Client({"predict", "--suffix", "is small .", "the", "a"});
  EXPECT_EQ(suffixes.exit_code, 1);
  EXPECT_THAT(suffixes.errors,
              HasSubstr("one for each of 2 contexts, found 1"));
}

TEST_F(BidirectionalCommandsTest, ModelsReportsTheKind) {
  const json model = ClientJson({"models"})[0]["models"][0];
  EXPECT_EQ(model["family"], "bidirectional");
  EXPECT_EQ(model["bidirectional"], true);
  EXPECT_EQ(model["state_bytes"], 0);
}

}  // namespace
}  // namespace lmserve
