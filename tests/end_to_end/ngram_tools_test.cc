// SPDX-License-Identifier: Apache-2.0
//
// Tests the commands of lm_trainer that make n-gram models of others: count,
// interpolate, prune and verify.

#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/end_to_end/programs.h"
#include "tests/testing/ngram_models.h"
#include "tests/testing/temporary_directory.h"

namespace lmserve {
namespace {

using testing::AllOf;
using testing::ContainsRegex;
using testing::HasSubstr;

class NgramToolsTest : public testing::Test {
 protected:
  // Runs a command with a model of the store; it must succeed.
  std::string Trainer(const std::string& model, Arguments arguments,
                      absl::string_view input = "") {
    arguments.insert(arguments.end(), {"--store", store_, "--model", model});
    const Outcome outcome = RunTrainer(arguments, input);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
    errors_ = outcome.errors;
    return outcome.output;
  }

  // Runs a command that must fail. Returns the errors.
  std::string Fails(Arguments arguments) {
    arguments.insert(arguments.end(), {"--store", store_, "--model", "out"});
    const Outcome outcome = RunTrainer(arguments);
    EXPECT_EQ(outcome.exit_code, 1) << outcome.errors;
    return outcome.errors;
  }

  void Train(const std::string& model, const std::string& text,
             Arguments options = {}) {
    options.insert(options.begin(), {"ngram", "--corpus", "-", "--order", "3"});
    Trainer(model, options, text);
  }

  double Perplexity(const std::string& model, const std::string& text) {
    return nlohmann::json::parse(Trainer(
        model, {"evaluate", "--corpus", "-", "--json"}, text))["perplexity"];
  }

  std::string VersionFile(const std::string& version, const std::string& name) {
    return ReadFile(absl::StrCat(store_, "/", version, "/", name));
  }

  const TemporaryDirectory directory_;
  const std::string store_ = directory_.File("store");
  std::string errors_;  // of the last command
};

// The model from counts is the model from the text, byte by byte, also through
// compressed files.
TEST_F(NgramToolsTest, CountsGiveTheSameModel) {
  const std::string text = DemoText(2000, 1);
  Train("en", text);
  for (const char* name : {"counts", "counts.gz"}) {
    const std::string counts = directory_.File(name);
    const Outcome outcome = RunTrainer(
        {"export-counts", counts, "--corpus", "-", "--order", "3"}, text);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
    EXPECT_EQ(outcome.output, "");
    EXPECT_EQ(Trainer(name, {"ngram", "--counts", counts, "--order", "3"}),
              absl::StrCat(name, "@1\n"));
    for (const char* file : {"ngram.bin", "vocabulary.txt"}) {
      EXPECT_EQ(VersionFile(absl::StrCat(name, "/1"), file),
                VersionFile("en/1", file));
    }
    EXPECT_THAT(Trainer(name, {"inspect"}), HasSubstr("sentences   2000\n"));
  }
}

TEST_F(NgramToolsTest, CountsAreAdded) {
  WriteText(directory_.File("a"), "x y\n");
  WriteText(directory_.File("b"), "x\n");
  for (const char* name : {"a", "b"}) {
    const Outcome outcome = RunTrainer(
        {"export-counts", directory_.File(absl::StrCat(name, ".counts")),
         "--corpus", directory_.File(name), "--order", "2"});
    EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
  }
  const Outcome sum =
      RunTrainer({"export-counts", "-", "--order", "2", "--counts",
                  absl::StrCat(directory_.File("a.counts"), ",",
                               directory_.File("b.counts"))});
  EXPECT_EQ(sum.output,
            "<s>\t2\n</s>\t2\nx\t2\ny\t1\n"
            "<s> x\t2\nx </s>\t1\nx y\t1\ny </s>\t1\n");
}

TEST_F(NgramToolsTest, CountErrorsNameTheLine) {
  WriteText(directory_.File("bad"), "<s>\t1\na b\n");
  EXPECT_THAT(Fails({"ngram", "--counts", directory_.File("bad")}),
              HasSubstr("bad line 2: expected words and a count from 1 to "
                        "4294967295, found 'a b'"));
}

// A model of the store and an ARPA file with other words become one.
TEST_F(NgramToolsTest, Interpolates) {
  const std::string text = DemoText(400, 1);
  Train("first", text);
  Train("second", "the zebra sleeps .\nthe zebra eats .\n");
  const std::string arpa = directory_.File("second.arpa.gz");
  Trainer("second", {"export-arpa", arpa});
  const std::string valid = DemoText(30, 2) + "the zebra eats .\n";
  WriteText(directory_.File("valid"), valid);
  EXPECT_EQ(Trainer("mixed", {"interpolate", "--members", "first," + arpa,
                              "--valid", directory_.File("valid"), "--arpa",
                              directory_.File("mixed.arpa")}),
            "mixed@1\n");
  EXPECT_THAT(errors_, AllOf(HasSubstr("first@1 does not know"),
                             ContainsRegex("iterations over [0-9]+ tokens, 3 "
                                           "unknown"),
                             ContainsRegex("\nmodel +1.0")));
  // The row of the model has the perplexity of the version.
  const size_t row = errors_.find("\nmodel ");
  ASSERT_NE(row, std::string::npos);
  const double reported =
      std::stod(errors_.substr(errors_.find("1.000000", row) + 8));
  EXPECT_NEAR(reported, Perplexity("mixed", valid), 2e-4);
  EXPECT_THAT(Trainer("mixed", {"verify"}), HasSubstr("sums within"));
  EXPECT_EQ(ReadFile(directory_.File("mixed.arpa")),
            Trainer("mixed", {"export-arpa", "-"}));
  EXPECT_THAT(Trainer("mixed", {"inspect"}),
              HasSubstr(absl::StrCat("members     first@1 ", arpa)));
}

TEST_F(NgramToolsTest, InterpolatesWithGivenWeights) {
  Train("first", "a b\n");
  Train("second", "a c\n");
  EXPECT_EQ(Trainer("mixed", {"interpolate", "--members", "first,second",
                              "--weights", "0.25,0.75"}),
            "mixed@1\n");
  EXPECT_THAT(Trainer("mixed", {"inspect"}),
              HasSubstr("weights     0.25 0.75\n"));
}

TEST_F(NgramToolsTest, InterpolateErrors) {
  Train("first", "a b\n");
  Train("floor", "a b\n", {"--smoothing", "additive"});
  EXPECT_THAT(Fails({"interpolate", "--members", "first,floor", "--weights",
                     "0.5,0.5"}),
              HasSubstr("model floor@1: expected a model with back-off "
                        "weights, found additive smoothing"));
  EXPECT_THAT(
      Fails({"interpolate", "--members", "first,none", "--weights", "0.5,0.5"}),
      HasSubstr("none"));
  EXPECT_THAT(Fails({"interpolate", "--members", "first,./none", "--weights",
                     "0.5,0.5"}),
              HasSubstr("./none: No such file"));
}

TEST_F(NgramToolsTest, Prunes) {
  const std::string text = DemoText(2000, 1);
  Train("en", text);
  Train("history", text, {"--smoothing", "maximum-likelihood"});
  EXPECT_EQ(Trainer("small", {"prune", "en", "--history", "history", "--ngrams",
                              "3000", "--arpa", directory_.File("small.arpa")}),
            "small@1\n");
  EXPECT_THAT(errors_, ContainsRegex("^threshold [0-9.e-]+\n"));
  EXPECT_THAT(
      Trainer("small", {"inspect"}),
      AllOf(HasSubstr("source      en@1\n"),
            HasSubstr("history     history@1\n"), HasSubstr("threshold   ")));
  EXPECT_THAT(Trainer("small", {"verify"}), HasSubstr("sums within"));
  // An ARPA file of the model is a source, too.
  EXPECT_EQ(Trainer("again",
                    {"prune", directory_.File("small.arpa"), "--entropy", "0"}),
            "again@1\n");
  EXPECT_EQ(Trainer("again", {"export-arpa", "-"}),
            ReadFile(directory_.File("small.arpa")));
  const double all = Perplexity("en", text), small = Perplexity("small", text);
  EXPECT_GT(small, all);
  EXPECT_LT(small, 2 * all);
}

TEST_F(NgramToolsTest, PruneErrors) {
  Train("en", "a b\n");
  EXPECT_THAT(Fails({"prune", "en", "--ngrams", "3"}),
              HasSubstr("--ngrams: expected at least 5, the number of words"));
  EXPECT_THAT(Fails({"prune", "en", "--entropy", "0.1", "--history", "none"}),
              HasSubstr("none"));
}

TEST_F(NgramToolsTest, VerifyReportsEverySum) {
  Train("en", DemoText(300, 1));
  EXPECT_THAT(Trainer("en", {"verify"}),
              ContainsRegex("^en@1\n"
                            "family         ngram\n"
                            "files          3, [0-9]+ bytes, sizes and SHA-256 "
                            "correct\n"
                            "self-test      3 texts, probabilities as "
                            "published\n"
                            "distributions  [0-9]+, sums within [0-9.e-]+ of "
                            "1\n"
                            "worst sum      [0-9.]+ after '.*'\n$"));
}

TEST_F(NgramToolsTest, VerifyFindsSumsThatAreWrong) {
  Trainer("tiny", {"import-arpa", "-"}, TinyArpa());
  const Outcome outcome =
      RunTrainer({"verify", "--store", store_, "--model", "tiny"});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.errors,
              ContainsRegex("lm_trainer: the distribution after '.*': expected "
                            "a sum within 0.0001 of 1 \\(--tolerance\\), found "
                            "[0-9.]+\n"));
  EXPECT_THAT(Trainer("tiny", {"verify", "--tolerance", "10"}),
              HasSubstr("distributions"));
}

TEST_F(NgramToolsTest, VerifyFindsDamage) {
  Train("en", DemoText(300, 1));
  const std::string path = store_ + "/en/1/ngram.bin";
  std::string bytes = ReadFile(path);
  bytes[bytes.size() / 2] ^= 1;
  WriteText(path, bytes);
  const Outcome outcome =
      RunTrainer({"verify", "--store", store_, "--model", "en"});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.errors, HasSubstr("SHA-256"));
}

// Other models are checked along the texts of their self-test.
TEST_F(NgramToolsTest, VerifiesOtherModels) {
  const std::string text = DemoText(100, 1);
  Train("floor", text, {"--smoothing", "additive"});
  EXPECT_THAT(Trainer("floor", {"verify"}), HasSubstr("sums within"));
  Train("stupid", text, {"--smoothing", "stupid-back-off"});
  EXPECT_THAT(Trainer("stupid", {"verify"}),
              HasSubstr("not checked: stupid back-off"));
  WriteText(directory_.File("text"), text);
  Train("en", text);
  Trainer("mixture", {"mixture", "--members", "en,floor", "--corpus",
                      directory_.File("text")});
  EXPECT_THAT(
      Trainer("mixture", {"verify"}),
      AllOf(HasSubstr("family         mixture\n"), HasSubstr("sums within")));
}

}  // namespace
}  // namespace lmserve
