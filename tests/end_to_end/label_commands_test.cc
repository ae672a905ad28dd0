// SPDX-License-Identifier: Apache-2.0
//
// Tests taggers and classifiers with all three programs: lm_trainer trains
// them, lm_server serves them, and lm_client calls the server.

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model_store/loaded_version.h"
#include "models/sentence_encoder.h"
#include "models/text.h"
#include "tests/end_to_end/programs.h"
#include "tests/testing/temporary_directory.h"

namespace lmserve {
namespace {

using nlohmann::json;
using testing::ElementsAreArray;
using testing::HasSubstr;
using testing::StartsWith;

class LabelCommandsTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    directory_ = std::make_unique<TemporaryDirectory>();
    for (const std::string kind : {"words", "sentences"}) {
      for (const std::string seed : {"1", "2"}) {
        WriteText(directory_->File(kind + seed),
                  RunTrainer({"demo-corpus", "--labels", kind, "--sentences",
                              seed == "1" ? "2000" : "200", "--seed", seed})
                      .output);
      }
    }
    Train("pos", "words",
          {"tagger", "--format", "columns", "--character-units", "4",
           "--character-embedding", "4"});
    Train("kind", "sentences", {"classifier"});
    server_ = std::make_unique<ServerProcess>(directory_->File("store"));
    ASSERT_NE(server_->address(), "") << server_->process().Errors();
  }

  static void Train(const std::string& model, const std::string& kind,
                    Arguments arguments) {
    arguments.insert(arguments.end(),
                     {"--units",         "8",
                      "--layers",        "1",
                      "--embedding",     "8",
                      "--dropout",       "0",
                      "--epochs",        "2",
                      "--learning-rate", "0.02",
                      "--threads",       "1",
                      "--corpus",        directory_->File(kind + "1"),
                      "--valid",         directory_->File(kind + "2"),
                      "--store",         directory_->File("store"),
                      "--model",         model});
    const Outcome trained = RunTrainer(arguments);
    ASSERT_EQ(trained.output, model + "@1\n") << trained.errors;
  }

  // If a program failed to start, each test fails for that reason.
  void SetUp() override {
    ASSERT_TRUE(server_ != nullptr && !server_->address().empty())
        << "SetUpTestSuite() has failed";
  }

  static void TearDownTestSuite() {
    server_.reset();
    directory_.reset();
  }

  static ModelHandle Load(const std::string& model) {
    return LoadModel(directory_->File("store"), model, 1).value();
  }

  static std::string Client(const Arguments& arguments,
                            absl::string_view input = "") {
    const Outcome outcome = server_->Client(arguments, input);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
    return outcome.output;
  }

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

  // What a tagger returns for a sentence.
  struct Tagged {
    std::vector<std::string> labels;
    std::vector<float> log_probs;  // of them
  };
  static Tagged Tag(absl::string_view text) {
    const ModelHandle handle = Load("pos");
    const TaggerModel& model = *handle->model().tagger();
    const std::vector<absl::string_view> words = SplitWords(text);
    std::vector<size_t> labels(words.size());
    std::vector<float> log_probs(words.size() * model.labels().size());
    const TaggerModel::Sentence sentence = {words, absl::MakeSpan(labels),
                                            absl::MakeSpan(log_probs)};
    model.Tag({&sentence, 1});
    Tagged tagged;
    for (size_t i = 0; i < words.size(); ++i) {
      tagged.labels.push_back(model.labels()[labels[i]]);
      tagged.log_probs.push_back(
          log_probs[i * model.labels().size() + labels[i]]);
    }
    return tagged;
  }

  static std::unique_ptr<TemporaryDirectory> directory_;
  static std::unique_ptr<ServerProcess> server_;
};

std::unique_ptr<TemporaryDirectory> LabelCommandsTest::directory_;
std::unique_ptr<ServerProcess> LabelCommandsTest::server_;

constexpr char kText[] = "the cat zyx is small .";

TEST_F(LabelCommandsTest, TagPrintsColumns) {
  const Tagged expected = Tag(kText);
  // The model has learned something.
  EXPECT_EQ(expected.labels[0], "DET");
  EXPECT_EQ(expected.labels[5], "PUNCT");
  const std::vector<absl::string_view> words = SplitWords(kText);
  std::string columns;
  for (size_t i = 0; i < words.size(); ++i) {
    absl::StrAppend(&columns, words[i], "\t", expected.labels[i], "\n");
  }
  EXPECT_EQ(Client({"tag", "--model", "pos", kText}), columns + "\n");
  // Lines, of which some are blank, have markers, or are not texts.
  EXPECT_EQ(Client({"tag", "--model", "pos"},
                   absl::StrCat("\n<s> ", kText, " </s>\r\n\xFF\n")),
            absl::StrCat("\n", columns, "\nline 3: invalid UTF-8\n"));
}

TEST_F(LabelCommandsTest, TagPrintsAlternatives) {
  const Tagged expected = Tag(kText);
  const std::vector<json> lines =
      ClientJson({"tag", "--model", "pos", "--alternatives", "2", kText});
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0]["text"], kText);
  const json& words = lines[0]["words"];
  ASSERT_EQ(words.size(), expected.labels.size());
  for (size_t i = 0; i < words.size(); ++i) {
    EXPECT_EQ(words[i]["label"], expected.labels[i]);
    EXPECT_EQ(words[i]["unknown"], words[i]["word"] == "zyx");
    EXPECT_NEAR(words[i]["log_prob"], expected.log_probs[i], 1e-5);
    ASSERT_EQ(words[i]["alternatives"].size(), 2u);
    EXPECT_GE(words[i]["alternatives"][0]["log_prob"],
              words[i]["alternatives"][1]["log_prob"]);
  }
  const std::string text =
      Client({"tag", "--model", "pos", "--alternatives", "1", "the"});
  EXPECT_THAT(text,
              testing::MatchesRegex("the\t([A-Z]+)\t[A-Z]+ [0-9.]+%\n\n"));
}

TEST_F(LabelCommandsTest, ClassifyPrintsLabels) {
  const ModelHandle handle = Load("kind");
  const ClassifierModel& model = *handle->model().classifier();
  std::vector<WordId> words;
  for (absl::string_view word : SplitWords(kText)) {
    words.push_back(model.vocabulary().Find(word));
  }
  std::vector<float> log_probs(model.labels().size());
  const ClassifierModel::Sentence sentence = {words, absl::MakeSpan(log_probs)};
  model.Classify({&sentence, 1});
  const std::vector<json> lines =
      ClientJson({"classify", "--model", "kind", "--best", "0", kText});
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0]["words"], 6);
  EXPECT_EQ(lines[0]["unknown"], 1);
  const json& labels = lines[0]["labels"];
  ASSERT_EQ(labels.size(), log_probs.size());
  for (const json& label : labels) {
    const size_t place = std::find(model.labels().begin(), model.labels().end(),
                                   label["label"].get<std::string>()) -
                         model.labels().begin();
    ASSERT_LT(place, log_probs.size());
    EXPECT_NEAR(label["log_prob"], log_probs[place], 1e-5);
  }
  EXPECT_EQ(Client({"classify", "--model", "kind"}, kText),
            absl::StrFormat("%8.3f %%  %s\t%s\n",
                            100 * std::exp(labels[0]["log_prob"].get<double>()),
                            labels[0]["label"].get<std::string>(), kText));
  // The model has learned something.
  EXPECT_THAT(Client({"classify", "--model", "kind", "is the cat small ?"}),
              HasSubstr("question"));
}

TEST_F(LabelCommandsTest, EmbedPrintsVectors) {
  const ModelHandle handle = Load("kind");
  const SentenceEncoder& encoder = *handle->model().sentence_encoder();
  std::vector<WordId> words;
  for (absl::string_view word : SplitWords(kText)) {
    words.push_back(encoder.sentence_vocabulary().Find(word));
  }
  for (const auto& [name, pooling] : {std::pair{"max", Pooling::kMax},
                                      {"mean", Pooling::kMean},
                                      {"last", Pooling::kLast}}) {
    std::vector<float> expected(encoder.dimensions());
    const SentenceEncoder::Sentence sentence = {words,
                                                absl::MakeSpan(expected)};
    encoder.Encode({&sentence, 1}, pooling);
    std::vector<float> found;
    const std::string output =
        Client({"embed", "--model", "kind", "--pooling", name, kText});
    for (absl::string_view number :
         absl::StrSplit(output, absl::ByAnyChar(" \n"), absl::SkipEmpty())) {
      found.push_back(std::strtof(std::string(number).c_str(), nullptr));
    }
    EXPECT_THAT(found, ElementsAreArray(expected)) << name;
  }
  const std::vector<json> lines = ClientJson(
      {"embed", "--model", "kind", "--normalize"}, absl::StrCat(kText, "\n\n"));
  ASSERT_EQ(lines.size(), 2u);
  double squares = 0;
  for (double value : lines[0]["embedding"]) squares += value * value;
  EXPECT_NEAR(squares, 1, 1e-6);
  EXPECT_EQ(lines[0]["words"], 6);
  EXPECT_EQ(lines[0]["unknown"], 1);
  EXPECT_EQ(lines[1]["words"], 0);
}

TEST_F(LabelCommandsTest, WhatModelsCanDoIsListed) {
  const json models = ClientJson({"models"})[0]["models"];
  ASSERT_EQ(models.size(), 2u);
  EXPECT_EQ(models[0]["name"], "kind");
  EXPECT_EQ(models[0]["classifier"], true);
  EXPECT_EQ(models[0]["tagger"], false);
  EXPECT_EQ(models[0]["labels"].size(), 9u);
  EXPECT_EQ(models[0]["embedding_dimensions"], 16);
  EXPECT_EQ(models[1]["tagger"], true);
  EXPECT_THAT(models[1]["labels"], testing::Contains("NOUN"));
}

TEST_F(LabelCommandsTest, OtherCommandsSayWhatServesTheModel) {
  for (const Arguments& arguments :
       std::vector<Arguments>{{"score", "--model", "pos", "the"},
                              {"predict", "--model", "pos", "the"},
                              {"rerank", "--model", "pos", "the", "a"},
                              {"generate", "--model", "pos"},
                              {"classify", "--model", "pos", "the"}}) {
    const Outcome outcome = server_->Client(arguments);
    EXPECT_EQ(outcome.exit_code, 1) << arguments[0];
    EXPECT_THAT(outcome.errors, StartsWith("lm_client: FAILED_PRECONDITION: "));
    EXPECT_THAT(outcome.errors, HasSubstr("'pos' is a tagger: it cannot "));
    EXPECT_THAT(outcome.errors,
                HasSubstr("it labels the words of sentences: call Tag"));
  }
}

TEST_F(LabelCommandsTest, AnErrorNamesTheText) {
  const Outcome outcome =
      server_->Client({"tag", "--model", "pos"}, "the cat\nthe <s> cat\n");
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.errors,
              HasSubstr("line 2: word 1: expected no sentence marker"));
}

}  // namespace
}  // namespace lmserve
