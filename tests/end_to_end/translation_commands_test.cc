// SPDX-License-Identifier: Apache-2.0
//
// Tests translation models with all three programs: lm_trainer trains one that
// reverses sentences, lm_server serves it, and lm_client calls the server.

#include <algorithm>
#include <chrono>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "models/text.h"
#include "tests/end_to_end/programs.h"
#include "tests/testing/temporary_directory.h"

namespace lmserve {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;

std::string Reverse(absl::string_view sentence) {
  std::vector<absl::string_view> words = SplitWords(sentence);
  std::reverse(words.begin(), words.end());
  return absl::StrJoin(words, " ");
}

std::vector<std::string> Lines(const std::string& text) {
  return absl::StrSplit(text, '\n', absl::SkipEmpty());
}

class TranslationCommandsTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    directory_ = std::make_unique<TemporaryDirectory>();
    for (const auto& [file, sentences, seed] :
         {std::tuple{"train", "3000", "1"}, {"valid", "200", "2"}}) {
      const std::string text =
          RunTrainer({"demo-corpus", "--sentences", sentences, "--seed", seed})
              .output;
      std::string reversed;
      for (const std::string& line : Lines(text)) {
        absl::StrAppend(&reversed, Reverse(line), "\n");
      }
      WriteText(directory_->File(file), text);
      WriteText(directory_->File(absl::StrCat(file, ".reversed")), reversed);
    }
    for (const auto& [model, source, target] :
         {std::tuple{"there", "", ".reversed"}, {"back", ".reversed", ""}}) {
      const Outcome trained =
          RunTrainer({"translation",
                      "--bidirectional",
                      "--attention",
                      "--units",
                      "24",
                      "--dropout",
                      "0",
                      "--epochs",
                      "8",
                      "--learning-rate",
                      "0.01",
                      "--batch",
                      "32",
                      "--threads",
                      "1",
                      "--source",
                      directory_->File(absl::StrCat("train", source)),
                      "--corpus",
                      directory_->File(absl::StrCat("train", target)),
                      "--valid-source",
                      directory_->File(absl::StrCat("valid", source)),
                      "--valid",
                      directory_->File(absl::StrCat("valid", target)),
                      "--store",
                      Store(),
                      "--model",
                      model});
      ASSERT_EQ(trained.output, absl::StrCat(model, "@1\n")) << trained.errors;
    }
    server_ = std::make_unique<ServerProcess>(Store());
    ASSERT_NE(server_->address(), "") << server_->process().Errors();
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

  static std::string Store() { return directory_->File("store"); }

  static Outcome Client(const Arguments& arguments,
                        const std::string& input = "") {
    return server_->Client(arguments, input);
  }

  static inline std::unique_ptr<TemporaryDirectory> directory_;
  static inline std::unique_ptr<ServerProcess> server_;
};

TEST_F(TranslationCommandsTest, TranslatesCorrectly) {
  const std::string source = "the cat is small .";
  EXPECT_EQ(Client({"translate", "--model", "there", source}).output,
            absl::StrCat(Reverse(source), "\n"));
}

// The best translation covers the whole source, so coverage does not change it.
TEST_F(TranslationCommandsTest, RanksByCoverage) {
  const auto translate = [](const std::string& beta) {
    return Client({"translate", "--model", "there", "--nbest", "4",
                   "--coverage-beta", beta, "the cat is small ."});
  };
  const std::vector<std::string> plain = Lines(translate("0").output);
  const std::vector<std::string> covered = Lines(translate("0.2").output);
  ASSERT_EQ(covered.size(), 4u);
  EXPECT_THAT(covered[0], HasSubstr("0 ||| . small is cat the ||| there= -"));
  EXPECT_NE(covered, plain);  // with other scores
  EXPECT_EQ(translate("-1").exit_code, 2);
}

// The translation of a blank line is a blank line, so line numbers are kept.
TEST_F(TranslationCommandsTest, LinesOfTheInput) {
  const Outcome outcome =
      Client({"translate", "--model", "there"}, "the cat is small .\n\nthe\n");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
  const std::vector<std::string> lines = absl::StrSplit(outcome.output, '\n');
  ASSERT_EQ(lines.size(), 4u);
  EXPECT_EQ(lines[0], ". small is cat the");
  EXPECT_EQ(lines[1], "");
}

// A sentence that cannot be translated does not end the others.
TEST_F(TranslationCommandsTest, BadSentences) {
  std::string input = "the cat is small .\n\xff\n";
  for (int i = 0; i < 20'000; ++i) absl::StrAppend(&input, "cat ");
  absl::StrAppend(&input, "\nthe\n");
  const Outcome outcome = Client({"translate", "--model", "there"}, input);
  EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
  const std::vector<std::string> lines = absl::StrSplit(outcome.output, '\n');
  ASSERT_EQ(lines.size(), 5u) << outcome.output;
  EXPECT_EQ(lines[0], ". small is cat the");
  EXPECT_EQ(lines[1], "");
  EXPECT_EQ(lines[2], "");
  EXPECT_NE(lines[3], "");
  EXPECT_THAT(outcome.errors,
              AllOf(HasSubstr("line 2: source: invalid UTF-8"),
                    HasSubstr("line 3: source: expected at most"),
                    HasSubstr("without a translation: 2, the first: line 2")));
  const std::vector<std::string> json =
      Lines(Client({"translate", "--model", "there", "--json"}, input).output);
  ASSERT_EQ(json.size(), 4u);
  EXPECT_THAT(json[1], HasSubstr(R"("error":"source: invalid UTF-8")"));
  const Outcome strict =
      Client({"translate", "--model", "there", "--strict"}, input);
  EXPECT_EQ(strict.exit_code, 1);
  EXPECT_EQ(strict.output, ". small is cat the\n");
  EXPECT_THAT(strict.errors, HasSubstr("line 2: source: invalid UTF-8"));
}

TEST_F(TranslationCommandsTest, SentenceMarkersAreThoseOfTheSentence) {
  EXPECT_EQ(
      Client({"translate", "--model", "there", "<s> the cat is small . </s>"})
          .output,
      ". small is cat the\n");
}

// A source that cannot be read concerns its own text alone.
TEST_F(TranslationCommandsTest, ScoreWithBadSources) {
  WriteText(directory_->File("bad"), "the cat\n\nthe </s> cat\nthe cat\n");
  const Outcome outcome = Client({"score", "--json", "--model", "there",
                                  "--sources", directory_->File("bad")},
                                 "cat the\ncat the\ncat the\ncat the\n");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
  const std::vector<std::string> lines = Lines(outcome.output);
  ASSERT_EQ(lines.size(), 4u) << outcome.output;
  EXPECT_THAT(lines[1],
              AllOf(HasSubstr("\"line\":2"),
                    HasSubstr("source: expected a word, found none")));
  EXPECT_THAT(lines[2], HasSubstr("\"line\":3"));
  EXPECT_THAT(lines[3], HasSubstr("log_prob"));
}

// Each sentence has a line, also those without a translation.
TEST_F(TranslationCommandsTest, OneBestLinesOfAllSources) {
  WriteText(directory_->File("gaps"), "\nthe cat\n\n\nthe\n\n");
  const Outcome list = Client({"translate", "--model", "there", "--nbest", "2"},
                              ReadFile(directory_->File("gaps")));
  WriteText(directory_->File("gaps.nbest"), list.output);
  Arguments rerank = {"rerank",
                      "--reverse-model",
                      "back",
                      "--nbest",
                      directory_->File("gaps.nbest"),
                      "--one-best",
                      "--first-id",
                      "0",
                      "--sources",
                      directory_->File("gaps")};
  const Outcome all = Client(rerank);
  EXPECT_EQ(all.exit_code, 0) << all.errors;
  const std::vector<std::string> lines = absl::StrSplit(all.output, '\n');
  ASSERT_EQ(lines.size(), 7u) << all.output;
  for (size_t i = 0; i < lines.size(); ++i) {
    EXPECT_EQ(lines[i].empty(), i != 1 && i != 4) << i << ": " << lines[i];
  }
}

TEST_F(TranslationCommandsTest, NbestListsAndReranking) {
  const std::string source = "the cat is small .";
  WriteText(directory_->File("sources"), absl::StrCat(source, "\n"));
  const Outcome list =
      Client({"translate", "--model", "there", "--nbest", "6", source});
  ASSERT_EQ(Lines(list.output).size(), 6u) << list.errors;
  EXPECT_THAT(Lines(list.output)[0],
              HasSubstr("0 ||| . small is cat the ||| there= -"));
  WriteText(directory_->File("nbest"), list.output);
  const Outcome scored = Client({"rerank", "--reverse-model", "back", "--nbest",
                                 directory_->File("nbest"), "--sources",
                                 directory_->File("sources")});
  EXPECT_EQ(scored.exit_code, 0) << scored.errors;
  EXPECT_THAT(scored.output, HasSubstr(" back= -"));
  // The only weight is that of the new feature, at the end of the third field.
  std::string best;
  double best_score = -std::numeric_limits<double>::infinity();
  for (const std::string& line : Lines(scored.output)) {
    const std::vector<std::string> fields = absl::StrSplit(line, " ||| ");
    ASSERT_EQ(fields.size(), 4u) << line;
    const std::vector<std::string> feature =
        absl::StrSplit(fields[2], " back= ");
    ASSERT_EQ(feature.size(), 2u) << line;
    double score;
    ASSERT_TRUE(absl::SimpleAtod(feature[1], &score)) << line;
    if (score > best_score) best = fields[1];
    best_score = std::max(best_score, score);
  }
  EXPECT_EQ(Client({"rerank", "--reverse-model", "back", "--one-best",
                    "--nbest", directory_->File("nbest"), "--sources",
                    directory_->File("sources")})
                .output,
            best + "\n");
  WriteText(directory_->File("more"), "1 ||| the ||| there= -1 ||| -1\n");
  EXPECT_THAT(
      Client({"rerank", "--reverse-model", "back", "--nbest",
              directory_->File("more"), "--sources",
              directory_->File("sources")})
          .errors,
      HasSubstr("id: expected the number of a line of --sources, from 0 "
                "to 0, found '1'"));
}

// A reranker that was tuned on lists of the model computes all features itself.
TEST_F(TranslationCommandsTest, ATunedRerankerChoosesByItsName) {
  const std::vector<std::string> sources =
      Lines(ReadFile(directory_->File("valid")));
  const std::string twenty =
      absl::StrJoin(sources.begin(), sources.begin() + 20, "\n");
  WriteText(directory_->File("sources"), twenty);
  WriteText(directory_->File("references"),
            absl::StrCat(
                absl::StrJoin(
                    Lines(ReadFile(directory_->File("valid.reversed"))), "\n"),
                "\n"));
  WriteText(
      directory_->File("dev"),
      Client({"translate", "--model", "there", "--nbest", "6"}, twenty).output);
  const Outcome scored = Client({"rerank", "--reverse-model", "back", "--nbest",
                                 directory_->File("dev"), "--sources",
                                 directory_->File("sources")});
  WriteText(directory_->File("dev.scored"), scored.output);
  const Arguments tune = {"tune",
                          "--nbest",
                          directory_->File("dev.scored"),
                          "--reference",
                          directory_->File("references"),
                          "--weights",
                          "there=0.5 back=0.5",
                          "--member",
                          "there",
                          "--store",
                          Store(),
                          "--model",
                          "choice"};
  Arguments with_reverse = tune;
  with_reverse.insert(with_reverse.end(), {"--reverse-member", "back"});
  const Outcome tuned = RunTrainer(with_reverse);
  ASSERT_EQ(tuned.exit_code, 0) << tuned.errors;
  EXPECT_EQ(Lines(tuned.output).size(), 1u) << tuned.output;
  EXPECT_THAT(tuned.output, AllOf(HasSubstr("there="), HasSubstr("back=")));
  EXPECT_THAT(tuned.errors, EndsWith("\npublished choice@1\n"));
  EXPECT_THAT(
      RunTrainer({"inspect", "--store", Store(), "--model", "choice"}).output,
      AllOf(HasSubstr("family      reranker"), HasSubstr("there@1"),
            HasSubstr("tuned_for   BLEU")));
  Arguments unknown = tune;
  unknown.insert(unknown.end(), {"--member", "nobody"});
  EXPECT_THAT(RunTrainer(unknown).errors,
              HasSubstr("model 'nobody' is not in the store"));
  // The lists have ln P(source | candidate) as the feature back.
  Arguments forward = tune;
  forward.insert(forward.end(), {"--member", "back"});
  EXPECT_THAT(RunTrainer(forward).errors,
              HasSubstr("member back@1: expected lists that lm_client rerank "
                        "--model has scored, with back.words, found back "
                        "alone, as --reverse-model appends it; use "
                        "--reverse-member"));
  Arguments backward = tune;
  *std::find(backward.begin(), backward.end(), "--member") = "--reverse-member";
  EXPECT_THAT(RunTrainer(backward).errors,
              HasSubstr("reverse member there@1: expected lists that "
                        "lm_client rerank --reverse-model has scored, with "
                        "there alone, found there.words, too, as --model "
                        "appends it; use --member"));

  while (Client({"health", "choice"}).exit_code != 0) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  const Outcome one = Client({"rerank", "--reranker", "choice", "--source",
                              "the cat is small .", ". small is cat the",
                              ". small is the cat"});
  EXPECT_EQ(one.exit_code, 0) << one.errors;
  EXPECT_THAT(Lines(one.output)[1], HasSubstr(". small is cat the"));
  const Outcome list = Client({"rerank", "--reranker", "choice", "--nbest",
                               directory_->File("dev"), "--one-best",
                               "--sources", directory_->File("sources")});
  EXPECT_EQ(Lines(list.output).size(), 20u) << list.errors;
  // The choice that the trainer measures is the server's.
  WriteText(directory_->File("chosen"), list.output);
  std::vector<std::string> targets =
      Lines(ReadFile(directory_->File("valid.reversed")));
  targets.resize(20);
  WriteText(directory_->File("references"),
            absl::StrCat(absl::StrJoin(targets, "\n"), "\n"));
  WriteText(directory_->File("dev.choice"),
            Client({"rerank", "--reranker", "choice", "--nbest",
                    directory_->File("dev"), "--sources",
                    directory_->File("sources")})
                .output);
  const auto score = [&](Arguments arguments, const std::string& system) {
    arguments.insert(arguments.end(),
                     {"--reference", directory_->File("references"), "--metric",
                      "bleu", "--json"});
    const Outcome outcome = RunTrainer(arguments);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
    for (const std::string& line : Lines(outcome.output)) {
      const json row = json::parse(line);
      if (row["system"] == system) return row["score"].get<double>();
    }
    ADD_FAILURE() << "no " << system << " in " << outcome.output;
    return 0.0;
  };
  EXPECT_EQ(score({"evaluate-nbest", "--nbest", directory_->File("dev.choice"),
                   "--reranker", "choice", "--store", Store()},
                  "reranked"),
            score({"evaluate-translations", "--hypotheses",
                   directory_->File("chosen")},
                  directory_->File("chosen")));
  EXPECT_THAT(Client({"score", "--model", "choice", "the"}).errors,
              HasSubstr("'choice' is a reranker: expected a model"));
}

// A blank text is scored, too: as the translation of its source.
TEST_F(TranslationCommandsTest, ScoresOfTextsGivenTheirSources) {
  WriteText(directory_->File("sources"), "the cat is small .\nnothing\nthe");
  const Outcome scored = Client({"score", "--json", "--model", "there",
                                 "--sources", directory_->File("sources")},
                                ". small is cat the\n\nthe\n");
  ASSERT_EQ(Lines(scored.output).size(), 3u) << scored.errors;
  for (const auto& [line, source] :
       {std::pair{0, "the cat is small ."}, {1, "nothing"}, {2, "the"}}) {
    const json score = json::parse(Lines(scored.output)[line]);
    const Outcome alone =
        Client({"score", "--json", "--model", "there", "--source", source,
                score["text"].get<std::string>()});
    EXPECT_EQ(json::parse(alone.output), score) << alone.errors;
  }
  const Outcome short_of = Client(
      {"score", "--model", "there", "--sources", directory_->File("sources")},
      "a\nb\nc\nd\n");
  EXPECT_NE(short_of.exit_code, 0);
  EXPECT_THAT(short_of.errors,
              HasSubstr("--sources: expected one line for each text, found 3"));
  const Outcome too_many = Client(
      {"score", "--model", "there", "--sources", directory_->File("sources")},
      "a\nb\n");
  EXPECT_NE(too_many.exit_code, 0);
  EXPECT_THAT(too_many.errors,
              HasSubstr("expected one line for each text, 2, found more"));
}

TEST_F(TranslationCommandsTest, InspectPrintsStatesAndAttention) {
  const Arguments options = {"inspect",
                             "--model",
                             "there",
                             "--source",
                             ". small is cat the",
                             "the cat",
                             "--attention",
                             "--quantities",
                             "hidden,forget_gate"};
  Arguments as_json = options;
  as_json.push_back("--json");
  const Outcome outcome = Client(as_json);
  ASSERT_EQ(outcome.exit_code, 0) << outcome.errors;
  const json found = json::parse(outcome.output);
  EXPECT_EQ(found["words"], (json{"<s>", "the", "cat"}));
  EXPECT_EQ(found["source_words"],
            (json{".", "small", "is", "cat", "the", "</s>"}));
  ASSERT_EQ(found["layers"].size(), 3u);
  for (const json& layer : found["layers"]) {
    EXPECT_EQ(layer["unit_count"], 24);
    EXPECT_EQ(layer["units"].size(), 8u);
    const size_t words = layer["reads_source"] ? 6 : 3;
    for (const char* quantity : {"hidden", "forget_gate"}) {
      ASSERT_EQ(layer["values"][quantity].size(), words);
      EXPECT_EQ(layer["values"][quantity][0].size(), 8u);
    }
    EXPECT_EQ(layer["values"].size(), 2u);
  }
  ASSERT_EQ(found["attention"].size(), 3u);
  for (const json& row : found["attention"]) {
    double sum = 0;
    for (const json& weight : row) sum += weight.get<double>();
    EXPECT_NEAR(sum, 1, 1e-5);
  }

  const Outcome text = Client(options);
  EXPECT_THAT(text.output, HasSubstr("layer 1, depth 0, encoder, backward: "
                                     "forget_gate\n"));
  EXPECT_THAT(text.output, HasSubstr("attention before the word after\n"));
}

TEST_F(TranslationCommandsTest, InspectReportsWrongArguments) {
  const auto error = [](const Arguments& more) {
    Arguments arguments = {"inspect", "--model", "there", "the"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Outcome outcome = Client(arguments);
    EXPECT_NE(outcome.exit_code, 0);
    EXPECT_EQ(outcome.output, "");
    return outcome.errors;
  };
  EXPECT_THAT(error({}), HasSubstr("source: expected a source"));
  EXPECT_THAT(error({"--quantities", "hidden,gate"}),
              HasSubstr("--quantities: expected some of input_gate,"));
  EXPECT_THAT(error({"--source", "the", "--quantities", "reset_gate"}),
              HasSubstr("quantities[0]: expected one of the model's"));
  EXPECT_THAT(error({"--source", "the", "--layers", "7"}),
              HasSubstr("layers[0]: expected a number below 3"));
}

TEST_F(TranslationCommandsTest, EvaluateAsksForTheSource) {
  const Outcome evaluated =
      RunTrainer({"evaluate", "--json", "--source", directory_->File("valid"),
                  "--corpus", directory_->File("valid.reversed"), "--store",
                  Store(), "--model", "there"});
  ASSERT_EQ(evaluated.exit_code, 0) << evaluated.errors;
  EXPECT_LT(json::parse(evaluated.output)["perplexity"], 20);
  EXPECT_THAT(
      RunTrainer({"evaluate", "--corpus", directory_->File("valid.reversed"),
                  "--store", Store(), "--model", "there"})
          .errors,
      HasSubstr("expected --source"));
}

TEST_F(TranslationCommandsTest, TextsOfDifferentLengthsAreRefused) {
  const Outcome outcome = RunTrainer(
      {"translation", "--source", directory_->File("train"), "--corpus",
       directory_->File("valid.reversed"), "--valid-source",
       directory_->File("valid"), "--valid", directory_->File("valid.reversed"),
       "--store", Store(), "--model", "uneven"});
  EXPECT_NE(outcome.exit_code, 0);
  EXPECT_THAT(outcome.errors, HasSubstr("expected as many lines as in"));
  EXPECT_THAT(outcome.errors, HasSubstr("3000, found 200"));
}

}  // namespace
}  // namespace lmserve
