// SPDX-License-Identifier: Apache-2.0
//
// Tests the commands of lm_client with a server and a model of lm_trainer. The
// numbers must equal those of the model, called in this process.

#include <algorithm>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
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
using testing::Not;
using testing::StartsWith;

// The scores that a model gives a text.
struct Expected {
  std::vector<float> log_probs;  // of each word, then of </s>
  double sum = 0;
  int unknown = 0;
};

class ClientCommandsTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    store_ = std::make_unique<TemporaryDirectory>();
    const std::string corpus =
        RunTrainer({"demo-corpus", "--sentences", "2000"}).output;
    const Outcome trained =
        RunTrainer({"ngram", "--corpus", "-", "--order", "4", "--store",
                    store_->path(), "--model", "demo"},
                   corpus);
    ASSERT_EQ(trained.output, "demo@1\n") << trained.errors;
    model_ = LoadModel(store_->path(), "demo", 1).value();
    server_ = std::make_unique<ServerProcess>(store_->path());
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
    store_.reset();
  }

  // Runs a command, which must succeed, and returns its output.
  static std::string Client(const Arguments& arguments,
                            absl::string_view input = "") {
    const Outcome outcome = server_->Client(arguments, input);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
    return outcome.output;
  }

  // Runs a command with --json and returns the object of each line.
  static std::vector<json> ClientJson(Arguments arguments,
                                      absl::string_view input = "") {
    arguments.insert(arguments.begin(), "--json");
    std::vector<json> lines;
    const std::string output = Client(arguments, input);
    for (absl::string_view line :
         absl::StrSplit(output, '\n', absl::SkipEmpty())) {
      lines.push_back(json::parse(std::string(line)));
    }
    return lines;
  }

  static std::vector<std::byte> State(absl::string_view context) {
    const LanguageModel& model = *model_->model().left_to_right();
    std::vector<std::byte> state(model.state_size());
    model.Start(state.data());
    const std::vector<WordId> words = Ids(context);
    const LanguageModel::Query query = {state.data(), words, state.data(), {}};
    model.Score({&query, 1});
    return state;
  }

  static std::vector<WordId> Ids(absl::string_view text) {
    std::vector<WordId> ids;
    for (absl::string_view word : SplitWords(text)) {
      ids.push_back(model_->model().vocabulary().Find(word));
    }
    return ids;
  }

  static std::vector<float> Distribution(absl::string_view context) {
    const std::vector<std::byte> state = State(context);
    const std::byte* states[] = {state.data()};
    std::vector<float> log_probs(model_->model().vocabulary().size());
    model_->model().left_to_right()->Distribution(states, log_probs.data());
    return log_probs;
  }

  static Expected Score(absl::string_view text) {
    const Vocabulary& vocabulary = model_->model().vocabulary();
    std::vector<WordId> words = Ids(text);
    words.push_back(vocabulary.end_sentence());
    Expected expected;
    expected.log_probs.resize(words.size());
    const std::vector<std::byte> state = State("");
    const LanguageModel::Query query = {state.data(), words, nullptr,
                                        absl::MakeSpan(expected.log_probs)};
    model_->model().left_to_right()->Score({&query, 1});
    for (float log_prob : expected.log_probs) expected.sum += log_prob;
    for (WordId id : words) expected.unknown += id == vocabulary.unknown();
    return expected;
  }

  static void ExpectScore(const json& found, const std::string& text) {
    const Expected expected = Score(text);
    const double words = expected.log_probs.size();
    EXPECT_EQ(found["text"], text);
    EXPECT_NEAR(found["log_prob"], expected.sum, 1e-6);
    EXPECT_EQ(found["words"], words);
    EXPECT_EQ(found["unknown"], expected.unknown);
    EXPECT_NEAR(found["perplexity"], std::exp(-expected.sum / words), 1e-6);
  }

  static std::unique_ptr<TemporaryDirectory> store_;
  static ModelHandle model_;
  static std::unique_ptr<ServerProcess> server_;
};

std::unique_ptr<TemporaryDirectory> ClientCommandsTest::store_;
ModelHandle ClientCommandsTest::model_;
std::unique_ptr<ServerProcess> ClientCommandsTest::server_;

// The last one has unknown words.
const std::vector<std::string> kTexts = {
    "the cat is small .", "small is the cat .", "zyx the cat qqq ."};

TEST_F(ClientCommandsTest, ScoreOfArguments) {
  Arguments arguments = {"score"};
  arguments.insert(arguments.end(), kTexts.begin(), kTexts.end());
  const std::vector<json> lines = ClientJson(arguments);
  ASSERT_EQ(lines.size(), 3);
  for (int i = 0; i < 3; ++i) ExpectScore(lines[i], kTexts[i]);
  EXPECT_EQ(lines[2]["unknown"], 2);
}

TEST_F(ClientCommandsTest, ScoreMoreLinesThanOneMessageHas) {
  std::string input;
  for (int i = 0; i < 1000; ++i) absl::StrAppend(&input, kTexts[i % 3], "\n\n");
  const std::vector<json> lines = ClientJson({"score"}, input);
  // Each line has a result; that of a blank one is ln P(</s>).
  ASSERT_EQ(lines.size(), 2000);
  for (size_t i = 0; i < 1000; ++i) {
    ExpectScore(lines[2 * i], kTexts[i % 3]);
    ExpectScore(lines[2 * i + 1], "");
  }
}

// A bad line concerns itself alone, and errors name lines.
TEST_F(ClientCommandsTest, PredictAfterBadLines) {
  const Outcome outcome = server_->Client({"predict", "-k", "1"},
                                          "the cat\ncaf\xe9\n<s> the cat\n");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
  const std::vector<std::string> lines = absl::StrSplit(outcome.output, '\n');
  ASSERT_EQ(lines.size(), 6u) << outcome.output;
  EXPECT_EQ(lines[2], "line 2: invalid UTF-8");
  EXPECT_EQ(lines[1], lines[4]);
  EXPECT_THAT(server_->Client({"predict"}, "the\n</s> a\n").errors,
              HasSubstr("line 2: "));
}

// </s> ends a context, so that there is nothing to predict after it.
TEST_F(ClientCommandsTest, PredictRefusesAContextThatHasEnded) {
  const Outcome outcome = server_->Client({"predict", "<s> the cat </s>"});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.errors,
              HasSubstr("text 1: word 2: expected no sentence marker"));
  EXPECT_THAT(Client({"predict", "-k", "1", "<s> the cat"}),
              StartsWith("after: <s> the cat\n"));
}

// Results come while the input goes on, so that its length has no limit.
TEST_F(ClientCommandsTest, PredictWhileTheInputGoesOn) {
  Process client(ClientCommand(*server_, {"predict", "-k", "1"}));
  std::string contexts;
  for (int i = 0; i < 300; ++i) contexts += "the cat\n";
  ASSERT_TRUE(client.Write(contexts));
  std::string line;
  ASSERT_TRUE(client.ReadLine(&line));
  EXPECT_EQ(line, "after: <s> the cat");
  client.CloseInput();
  const std::string rest = client.ReadAll();
  EXPECT_EQ(std::count(rest.begin(), rest.end(), '\n'), 599);
  EXPECT_EQ(client.Wait(), 0) << client.Errors();
}

TEST_F(ClientCommandsTest, TheNameOfAFileAsATextIsNoted) {
  const std::string file = SourcePath("README.md");
  const Outcome outcome = server_->Client({"score", file});
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_THAT(outcome.errors,
              HasSubstr("' is read as a text; to read the lines of the file, "
                        "use < FILE"));
  EXPECT_EQ(server_->Client({"score", "the cat"}).errors, "");
}

TEST_F(ClientCommandsTest, Vocabulary) {
  const std::string words = Client({"vocabulary", "--model", "demo"});
  const auto lines = std::count(words.begin(), words.end(), '\n');
  EXPECT_GT(lines, 20);
  EXPECT_THAT(words, HasSubstr("\ncat\n"));
  EXPECT_THAT(Client({"vocabulary", "--model", "demo", "--json"}),
              StartsWith("{\"id\":0,\"word\":\""));
}

TEST_F(ClientCommandsTest, PredictWithAPrefix) {
  const std::string output =
      Client({"predict", "--model", "demo", "--prefix", "c", "the"});
  EXPECT_THAT(output, HasSubstr("  cat\n"));
  EXPECT_THAT(output, Not(HasSubstr("  dog\n")));
}

TEST_F(ClientCommandsTest, ScoreAsText) {
  const Outcome outcome =
      server_->Client({"score"}, absl::StrCat(kTexts[0], "\n\n", kTexts[1]));
  EXPECT_EQ(outcome.errors, "");
  const std::vector<std::string> lines =
      absl::StrSplit(outcome.output, '\n', absl::SkipEmpty());
  ASSERT_EQ(lines.size(), 5);
  EXPECT_THAT(lines[0], HasSubstr("ln P"));
  const double first = Score(kTexts[0]).sum, blank = Score("").sum,
               second = Score(kTexts[1]).sum;
  EXPECT_THAT(lines[1], StartsWith(absl::StrFormat("%12.4f      6", first)));
  EXPECT_THAT(lines[2], StartsWith(absl::StrFormat("%12.4f      1", blank)));
  EXPECT_THAT(lines[3], StartsWith(absl::StrFormat("%12.4f      6", second)));
  EXPECT_THAT(lines[4], StartsWith(absl::StrFormat("%12.4f     13",
                                                   first + blank + second)));
}

TEST_F(ClientCommandsTest, ScoreOfEveryWord) {
  const json line = ClientJson({"score", "--per-word", kTexts[2]})[0];
  const Expected expected = Score(kTexts[2]);
  const std::vector<std::string> words = {"<unk>", "the", "cat",
                                          "<unk>", ".",   "</s>"};
  ASSERT_EQ(line["scored"].size(), words.size());
  for (size_t i = 0; i < words.size(); ++i) {
    const json& word = line["scored"][i];
    EXPECT_EQ(word["word"], words[i]);
    EXPECT_NEAR(word["log_prob"], expected.log_probs[i], 1e-6);
    EXPECT_EQ(word["unknown"], i == 0 || i == 3);
  }
}

TEST_F(ClientCommandsTest, ScoreWithAlternativesAndRanks) {
  const json plain = ClientJson({"score", "--per-word", kTexts[2]})[0];
  EXPECT_FALSE(plain["scored"][0].contains("rank"));
  EXPECT_FALSE(plain["scored"][0].contains("alternatives"));
  const json line =
      ClientJson({"score", "--alternatives", "3", "--ranks", kTexts[2]})[0];
  ASSERT_EQ(line["scored"].size(), 6);
  for (size_t i = 0; i < 6; ++i) {
    const json& word = line["scored"][i];
    EXPECT_EQ(word["log_prob"], plain["scored"][i]["log_prob"]);
    EXPECT_GE(word["rank"], 1);
    EXPECT_GT(word["entropy"], 0);
    ASSERT_EQ(word["alternatives"].size(), 3);
    if (word["rank"] > 3) continue;
    const size_t place = word["rank"].get<size_t>() - 1;
    EXPECT_EQ(word["alternatives"][place]["word"], word["word"]);
    EXPECT_EQ(word["alternatives"][place]["log_prob"], word["log_prob"]);
  }
  // For people: the rank beside the word, the alternatives below it.
  const std::string printed =
      Client({"score", "--alternatives", "1", "--ranks", kTexts[2]});
  EXPECT_THAT(printed, HasSubstr("rank "));
  EXPECT_THAT(printed, HasSubstr("entropy "));
  EXPECT_EQ(std::count(printed.begin(), printed.end(), '\n'), 2 + 2 * 6);
}

TEST_F(ClientCommandsTest, ScoreWithoutTheEnd) {
  const json line = ClientJson({"score", "--no-end", kTexts[0]})[0];
  const Expected expected = Score(kTexts[0]);
  EXPECT_EQ(line["words"], 5);
  EXPECT_NEAR(line["log_prob"], expected.sum - expected.log_probs.back(), 1e-6);
}

TEST_F(ClientCommandsTest, ScoreWithLengthsOfNgrams) {
  const json whole = ClientJson({"score", "--ngram-lengths", kTexts[0]})[0];
  ASSERT_EQ(whole["scored"].size(), 6);
  EXPECT_GT(whole["scored"][3]["ngram_length"], 1);
  EXPECT_FALSE(
      ClientJson({"score", "--per-word", kTexts[0]})[0]["scored"][0].contains(
          "ngram_length"));
  // Without <s> the first word has no context.
  const json without =
      ClientJson({"score", "--no-begin", "--ngram-lengths", kTexts[0]})[0];
  EXPECT_EQ(without["scored"][0]["ngram_length"], 1);
  EXPECT_NE(without["log_prob"], whole["log_prob"]);
  EXPECT_THAT(Client({"score", "--ngram-lengths", kTexts[0]}),
              HasSubstr("-gram\n"));
}

TEST_F(ClientCommandsTest, PredictWithoutTheUnknownWord) {
  const auto count = [this](const std::vector<std::string>& flags) {
    std::vector<std::string> arguments = {"predict", "-k", "1000"};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    arguments.push_back("the cat is");
    const json line = ClientJson(arguments)[0];
    return std::count_if(
        line["next"].begin(), line["next"].end(),
        [](const json& word) { return word["word"] == "<unk>"; });
  };
  EXPECT_EQ(count({}), 1);
  EXPECT_EQ(count({"--no-unknown"}), 0);
}

TEST_F(ClientCommandsTest, PredictTheBestWords) {
  const std::vector<json> lines =
      ClientJson({"predict", "-k", "5", "the cat is", ""});
  ASSERT_EQ(lines.size(), 2);
  const std::vector<std::string> contexts = {"the cat is", ""};
  for (int i = 0; i < 2; ++i) {
    std::vector<float> all = Distribution(contexts[i]);
    EXPECT_EQ(lines[i]["context"], contexts[i]);
    ASSERT_EQ(lines[i]["next"].size(), 5);
    for (const json& next : lines[i]["next"]) {
      const WordId id = Ids(next["word"].get<std::string>())[0];
      EXPECT_EQ(next["id"], id);
      EXPECT_NEAR(next["log_prob"], all[id], 1e-6);
    }
    std::sort(all.rbegin(), all.rend());
    for (int k = 0; k < 5; ++k) {
      EXPECT_NEAR(lines[i]["next"][k]["log_prob"], all[k], 1e-6);
    }
  }
}

TEST_F(ClientCommandsTest, PredictGivenWordsAfterLines) {
  const std::vector<json> lines = ClientJson(
      {"predict", "--words", "small,big"}, "the cat is\n\nthe dog is\n");
  ASSERT_EQ(lines.size(), 3);
  for (const json& line : lines) {
    const std::vector<float> all =
        Distribution(line["context"].get<std::string>());
    ASSERT_EQ(line["next"].size(), 2);
    EXPECT_EQ(line["next"][0]["word"], "small");
    EXPECT_NEAR(line["next"][0]["log_prob"], all[Ids("small")[0]], 1e-6);
    EXPECT_EQ(line["next"][1]["word"], "big");
    EXPECT_NEAR(line["next"][1]["log_prob"], all[Ids("big")[0]], 1e-6);
  }
}

TEST_F(ClientCommandsTest, PredictAsText) {
  const float log_prob = Distribution("the cat is")[Ids("small")[0]];
  EXPECT_EQ(Client({"predict", "--words", "small", "the cat is"}),
            absl::StrFormat("after: <s> the cat is\n%10.4f  %7.3f %%  small\n",
                            log_prob, 100 * std::exp(log_prob)));
}

TEST_F(ClientCommandsTest, RerankByTheModel) {
  const std::vector<json> lines = ClientJson({"rerank", kTexts[1], kTexts[0]});
  ASSERT_EQ(lines.size(), 2);
  EXPECT_EQ(lines[0]["index"], 1);
  EXPECT_EQ(lines[1]["index"], 0);
  for (const json& line : lines) {
    const double sum = Score(line["text"].get<std::string>()).sum;
    EXPECT_NEAR(line["score"], sum, 1e-6);
    EXPECT_NEAR(line["features"]["demo"], sum, 1e-6);
    EXPECT_EQ(line["features"]["demo.words"], 6);
    EXPECT_EQ(line["features"]["demo.unknown"], 0);
  }
}

TEST_F(ClientCommandsTest, RerankLinesWithFeaturesAndWeights) {
  const std::string input = absl::StrCat(kTexts[0], " ||| tm=-90 x=1\n",
                                         kTexts[1], " ||| tm=-2 x=7\n");
  const std::vector<json> lines = ClientJson(
      {"rerank", "--weights", "demo=0.5,tm=2", "--normalization", "mean"},
      input);
  ASSERT_EQ(lines.size(), 2);
  EXPECT_EQ(lines[0]["index"], 1);
  EXPECT_EQ(lines[0]["features"]["x"], 7);
  EXPECT_NEAR(lines[0]["score"], 0.5 * Score(kTexts[1]).sum / 6 + 2 * -2, 1e-6);
  EXPECT_NEAR(lines[1]["score"], 0.5 * Score(kTexts[0]).sum / 6 + 2 * -90,
              1e-6);
}

TEST_F(ClientCommandsTest, RerankAsText) {
  const std::string output =
      Client({"rerank", "--best", "1", kTexts[1], kTexts[0]});
  const std::vector<std::string> lines =
      absl::StrSplit(output, '\n', absl::SkipEmpty());
  ASSERT_EQ(lines.size(), 2);
  EXPECT_THAT(lines[0], StartsWith("rank  line "));
  EXPECT_THAT(lines[1], StartsWith("   1     2 "));
  EXPECT_THAT(lines[1],
              HasSubstr(absl::StrFormat("%.4f", Score(kTexts[0]).sum)));
  EXPECT_THAT(lines[1], testing::EndsWith("  " + kTexts[0]));
}

TEST_F(ClientCommandsTest, GenerateIsRepeatableWithASeed) {
  const Arguments arguments = {"generate", "--seed", "7", "the cat"};
  const std::vector<json> lines = ClientJson(arguments);
  ASSERT_GE(lines.size(), 2);
  std::string text = "the cat";
  double sum = 0;
  for (size_t i = 0; i + 1 < lines.size(); ++i) {
    const std::string word = lines[i]["word"].get<std::string>();
    const float log_prob = Distribution(text)[Ids(word)[0]];
    EXPECT_NEAR(lines[i]["log_prob"], log_prob, 1e-6);
    sum += log_prob;
    absl::StrAppend(&text, " ", word);
  }
  EXPECT_EQ(lines.back()["end"], "end_of_sentence");
  EXPECT_EQ(lines.back()["seed"], 7);
  EXPECT_EQ(lines.back()["words"], lines.size() - 1);
  const Vocabulary& vocabulary = model_->model().vocabulary();
  sum += Distribution(text)[vocabulary.end_sentence()];
  EXPECT_NEAR(lines.back()["log_prob"], sum, 1e-5);
  // The output without --json is the same text.
  const Outcome outcome = server_->Client(arguments);
  EXPECT_EQ(outcome.output, text + "\n");
  EXPECT_THAT(outcome.errors, HasSubstr("seed 7)"));
}

TEST_F(ClientCommandsTest, GenerateTheBestWordsOnly) {
  const std::vector<json> lines =
      ClientJson({"generate", "--temperature", "0", "--max-words", "3"});
  ASSERT_EQ(lines.size(), 4);
  std::string text;
  for (int i = 0; i < 3; ++i) {
    std::vector<float> all = Distribution(text);
    all[model_->model().vocabulary().unknown()] = -INFINITY;
    EXPECT_NEAR(lines[i]["log_prob"], *std::max_element(all.begin(), all.end()),
                1e-6);
    absl::StrAppend(&text, " ", lines[i]["word"].get<std::string>());
  }
  EXPECT_EQ(lines[3]["end"], "max_words");
}

TEST_F(ClientCommandsTest, GenerateUntilAStopWord) {
  const std::vector<json> lines =
      ClientJson({"generate", "--seed", "7", "--stop", ".", "the cat"});
  EXPECT_EQ(lines.back()["end"], "stop_word");
  for (const json& line : lines) EXPECT_NE(line.value("word", ""), ".");
}

TEST_F(ClientCommandsTest, Models) {
  const json list = ClientJson({"models"})[0];
  ASSERT_EQ(list["models"].size(), 1);
  const json& model = list["models"][0];
  EXPECT_EQ(model["name"], "demo");
  EXPECT_EQ(model["version"], 1);
  EXPECT_EQ(model["default"], true);
  EXPECT_EQ(model["family"], "ngram");
  EXPECT_EQ(model["vocabulary_size"], model_->model().vocabulary().size());
  EXPECT_EQ(model["state_bytes"],
            model_->model().left_to_right()->state_size());
  EXPECT_EQ(model["file_bytes"], model_->file_bytes());
  EXPECT_EQ(model["properties"]["order"], "4");
  EXPECT_TRUE(list["refused"].empty());
  EXPECT_THAT(Client({"models"}),
              testing::ContainsRegex("model  version .*\n +demo +1 +ngram "));
}

TEST_F(ClientCommandsTest, Health) {
  EXPECT_EQ(Client({"health"}), "SERVING\n");
  EXPECT_EQ(Client({"health", "demo"}), "SERVING\n");
  EXPECT_EQ(ClientJson({"health", "demo"})[0]["status"], "SERVING");
  const Outcome unknown = server_->Client({"health", "nobody"});
  EXPECT_EQ(unknown.exit_code, 1);
  EXPECT_EQ(unknown.errors,
            "lm_client: NOT_FOUND: the server has no model 'nobody'\n");
}

TEST_F(ClientCommandsTest, TheEnvironmentSetsTheServer) {
  Arguments command = Command("lm_client", {"health"});
  command.insert(command.begin(),
                 {"env", "LMSERVE_SERVER=" + server_->address()});
  EXPECT_EQ(RunProgram(command).output, "SERVING\n");
}

TEST_F(ClientCommandsTest, UnknownModelsAndVersionsAreErrors) {
  for (const std::string name : {"nobody", "demo@2", "demo@stable"}) {
    for (const std::string command :
         {"score", "predict", "rerank", "generate"}) {
      const Outcome outcome =
          server_->Client({command, "--model", name, "the cat"});
      EXPECT_EQ(outcome.exit_code, 1) << command << " " << name;
      EXPECT_THAT(outcome.errors, StartsWith("lm_client: NOT_FOUND: "));
    }
  }
}

// Two lists with everything unusual that is allowed: a gap in the ids, an empty
// hypothesis, alignments, a blank line, a line that ends with CR LF, and no LF
// at the end.
const char kNbest[] =
    "0 ||| the cat is small .  ||| tm= -1 -2 ||| -3 ||| 0-0 1-1\r\n"
    "0 ||| a zebra .  ||| tm= -2 -1 ||| -3 ||| 0-0 1-1\n"
    "\n"
    "7 |||  ||| tm= 0 -3 ||| 0 ||| \n"
    "7 ||| the dog sleeps . ||| tm= -9 -4 ||| 0 |||";

TEST_F(ClientCommandsTest, OptionsWithoutEffectAreRefused) {
  Outcome outcome = server_->Client(
      {"rerank", "--nbest", "-", "--weights", "demo=1"}, kNbest);
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.errors, HasSubstr("--weights: has an effect on --nbest "
                                        "only with --one-best"));
  outcome = server_->Client({"rerank", "--nbest", "-", "--json"}, kNbest);
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.errors, HasSubstr("--json: applies to"));
}

TEST_F(ClientCommandsTest, NbestAppendsFeaturesOnly) {
  const std::string output =
      Client({"rerank", "--model", "demo", "--nbest", "-"}, kNbest);
  const std::vector<std::string> texts = {"the cat is small .", "a zebra .", "",
                                          "the dog sleeps ."};
  std::vector<std::string> features;
  for (const std::string& text : texts) {
    const Expected expected = Score(text);
    features.push_back(absl::StrFormat(
        " demo= %.9g demo.unknown= %d demo.words= %d demo.end= %.9g",
        expected.sum, expected.unknown, expected.log_probs.size(),
        expected.log_probs.back()));
  }
  EXPECT_EQ(
      output,
      absl::StrCat("0 ||| the cat is small .  ||| tm= -1 -2", features[0],
                   " ||| -3 ||| 0-0 1-1\r\n", "0 ||| a zebra .  ||| tm= -2 -1",
                   features[1], " ||| -3 ||| 0-0 1-1\n\n",
                   "7 |||  ||| tm= 0 -3", features[2], " ||| 0 ||| \n",
                   "7 ||| the dog sleeps . ||| tm= -9 -4", features[3],
                   " ||| 0 |||"));
}

TEST_F(ClientCommandsTest, NbestOneBest) {
  const Arguments rerank = {"rerank",  "--model", "demo",
                            "--nbest", "-",       "--one-best"};
  const auto best = [&](const std::string& weights) {
    Arguments arguments = rerank;
    arguments.insert(arguments.end(), {"--weights", weights});
    return Client(arguments, kNbest);
  };
  EXPECT_EQ(best("tm[0]=1"), "the cat is small .\n\n");
  EXPECT_EQ(best("tm[1]=1"), "a zebra .\n\n");
  EXPECT_EQ(best("demo.words=1"), "the cat is small .\nthe dog sleeps .\n");
  // Without weights the model's score counts alone.
  EXPECT_EQ(Client(rerank, kNbest), best("demo=1"));
}

// More candidates than one call has, and more lists than are sent at once.
TEST_F(ClientCommandsTest, NbestOfAnyLength) {
  std::string list, best;
  for (int id = 0; id < 40; ++id) {
    for (int candidate = 0; candidate < 600; ++candidate) {
      absl::StrAppend(&list, id, " ||| the cat ", candidate,
                      " ||| f= ", (candidate + id * 100) % 600, " ||| 0\n");
    }
    absl::StrAppend(&best, "the cat ", (599 + 600 * 7 - id * 100) % 600, "\n");
  }
  EXPECT_EQ(Client({"rerank", "--model", "demo", "--nbest", "-", "--one-best",
                    "--weights", "f=1"},
                   list),
            best);
}

TEST_F(ClientCommandsTest, NbestErrorsNameTheLine) {
  const auto run = [&](const Arguments& more, const std::string& list) {
    Arguments arguments = {"rerank", "--model", "demo", "--nbest", "-"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return server_->Client(arguments, list);
  };
  // Line 2 could belong to the list of line 1, so that list is not written.
  const Outcome bad_line = run({"--one-best"}, "0 ||| a ||| f= 1 ||| 1\nb\n");
  EXPECT_EQ(bad_line.exit_code, 1);
  EXPECT_EQ(bad_line.output, "");
  EXPECT_THAT(bad_line.errors, HasSubstr("line 2: expected ID ||| HYPOTHESIS"));
  EXPECT_THAT(run({}, "0 ||| a ||| f= nan ||| 1\n").errors,
              HasSubstr("line 1: feature f: expected a finite number"));
  const Outcome unequal =
      run({"--one-best", "--weights", "f=1"},
          "0 ||| a ||| f= 1 ||| 1\n1 ||| a ||| f= 1 ||| 1\n"
          "1 ||| b ||| g= 1 ||| 1\n2 ||| a ||| f= 1 ||| 1\n");
  EXPECT_EQ(unequal.exit_code, 1);
  EXPECT_EQ(unequal.output, "a\n");
  EXPECT_THAT(unequal.errors,
              HasSubstr("lines 2 to 3: candidates[1].features"));
  EXPECT_THAT(server_->Client({"rerank", "--nbest", "/none"}).errors,
              HasSubstr("--nbest: cannot read '/none'"));
  EXPECT_EQ(server_->Client({"rerank", "--one-best", "a"}).exit_code, 2);
}

}  // namespace
}  // namespace lmserve
