// SPDX-License-Identifier: Apache-2.0
//
// Tests the commands of lm_trainer for models with caches and for the gradients
// of networks.

#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/end_to_end/programs.h"
#include "tests/testing/neural_models.h"
#include "tests/testing/ngram_models.h"
#include "tests/testing/temporary_directory.h"

namespace lmserve {
namespace {

using testing::AllOf;
using testing::ContainsRegex;
using testing::HasSubstr;

class CacheCommandsTest : public testing::Test {
 protected:
  CacheCommandsTest() {
    // Each sentence comes several times, so that a cache helps.
    for (int i = 0; i < 4; ++i) absl::StrAppend(&text_, DemoText(30, 3));
    WriteText(file_, text_);
    PublishRecurrentModel(store_, "lstm", DemoText(300, 1));
    const Outcome outcome =
        RunTrainer({"ngram", "--corpus", "-", "--order", "2", "--store", store_,
                    "--model", "en"},
                   DemoText(300, 1));
    EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
  }

  std::string Run(Arguments arguments) {
    arguments.insert(arguments.end(), {"--corpus", file_, "--store", store_});
    const Outcome outcome = RunTrainer(arguments);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
    errors_ = outcome.errors;
    return outcome.output;
  }

  nlohmann::json RunJson(Arguments arguments) {
    arguments.push_back("--json");
    return nlohmann::json::parse(Run(arguments));
  }

  double Perplexity(const std::string& model) {
    return RunJson({"evaluate", "--stream", "--model", model})["perplexity"];
  }

  const TemporaryDirectory directory_;
  const std::string store_ = directory_.File("store");
  const std::string file_ = directory_.File("text.txt");
  std::string text_;
  std::string errors_;  // of the last command
};

TEST_F(CacheCommandsTest, PublishedCacheHasTheReportedPerplexity) {
  const nlohmann::json json =
      RunJson({"cache", "--member", "lstm", "--stream", "--history", "200",
               "--model", "adaptive"});
  EXPECT_EQ(json["model"], "adaptive@1");
  EXPECT_EQ(json["member"]["name"], "lstm@1");
  ASSERT_EQ(json["caches"].size(), 1);
  EXPECT_EQ(json["caches"][0]["kind"], "continuous");
  EXPECT_GT(json["caches"][0]["weight"], 0);
  EXPECT_NEAR(json["member"]["perplexity"], Perplexity("lstm"), 1e-6);
  EXPECT_NEAR(json["perplexity"], Perplexity("adaptive"), 1e-6);
  EXPECT_LT(json["perplexity"], json["member"]["perplexity"]);
}

TEST_F(CacheCommandsTest, NgramCachesOfAnyModel) {
  const nlohmann::json json =
      RunJson({"cache", "--member", "en", "--caches", "1,2", "--stream",
               "--model", "adaptive"});
  ASSERT_EQ(json["caches"].size(), 2);
  EXPECT_EQ(json["caches"][0]["order"], 1);
  EXPECT_EQ(json["caches"][1]["order"], 2);
  EXPECT_LT(json["perplexity"], json["member"]["perplexity"]);
  EXPECT_NEAR(json["perplexity"], Perplexity("adaptive"), 1e-6);
  // By default an n-gram model gets a cache of words.
  const nlohmann::json one =
      RunJson({"cache", "--member", "en", "--stream", "--model", "adaptive"});
  ASSERT_EQ(one["caches"].size(), 1);
  EXPECT_EQ(one["caches"][0]["order"], 1);
}

TEST_F(CacheCommandsTest, WhatIsGivenIsPublished) {
  const nlohmann::json json =
      RunJson({"cache", "--member", "lstm", "--caches", "continuous,1",
               "--theta", "0.25", "--decay", "0.9", "--weights", "0.1,0.2",
               "--keys", "bf16", "--history", "50", "--model", "adaptive"});
  EXPECT_EQ(json["member"]["weight"], 0.7);
  EXPECT_EQ(json["caches"][0]["theta"], 0.25);
  EXPECT_EQ(json["caches"][0]["weight"], 0.1);
  EXPECT_EQ(json["caches"][1]["decay"], 0.9);
  EXPECT_EQ(json["caches"][1]["weight"], 0.2);
  const nlohmann::json file =
      nlohmann::json::parse(ReadFile(store_ + "/adaptive/1/cache.json"));
  EXPECT_EQ(file["history"], 50);
  EXPECT_EQ(file["keys"], "bf16");
  EXPECT_EQ(file["caches"][0]["theta"], 0.25);
}

TEST_F(CacheCommandsTest, PrintsATable) {
  EXPECT_EQ(Run({"cache", "--member", "lstm", "--stream", "--history", "50",
                 "--theta", "0.5", "--model", "adaptive"}),
            "adaptive@1\n");
  // A cache alone gives a word that is new to the text no probability.
  EXPECT_THAT(errors_,
              AllOf(ContainsRegex("lstm@1 +0.[0-9]+ +[0-9.]+ +[0-9.]+\n"),
                    ContainsRegex("theta 0.5 +0.[0-9]+ +inf +inf\n")));
}

TEST_F(CacheCommandsTest, WrongCachesAreRefused) {
  const auto errors = [&](Arguments arguments) {
    arguments.insert(arguments.begin(),
                     {"cache", "--member", "en", "--corpus", file_, "--store",
                      store_, "--model", "adaptive"});
    const Outcome outcome = RunTrainer(arguments);
    EXPECT_NE(outcome.exit_code, 0);
    EXPECT_EQ(outcome.output, "");
    return outcome.errors;
  };
  EXPECT_THAT(errors({"--caches", "continuous"}),
              HasSubstr("a continuous cache needs a recurrent model"));
  EXPECT_THAT(errors({"--caches", "9"}),
              HasSubstr("expected continuous or an order from 1 to 8, found "
                        "9"));
  EXPECT_THAT(errors({"--caches", "1,2", "--weights", "0.5"}),
              HasSubstr("expected one for each of --caches, 2, found 1"));
  EXPECT_THAT(errors({"--caches", "1,2", "--weights", "0.5,0.6"}),
              HasSubstr("expected a sum of at most 1, found 1.1"));
}

// A text that was generated has the words of its beginning in the cache.
TEST_F(CacheCommandsTest, IsServed) {
  Run({"cache", "--member", "lstm", "--history", "20", "--theta", "0.5",
       "--weights", "0.5", "--model", "adaptive"});
  ServerProcess server(store_);
  ASSERT_FALSE(server.address().empty());
  const Outcome scored = server.Client(
      {"--json", "score", "--model", "adaptive", "the cat the cat"});
  EXPECT_EQ(scored.exit_code, 0) << scored.errors;
  const Outcome generated = server.Client(
      {"generate", "--model", "adaptive", "--max-words", "5", "the"});
  EXPECT_EQ(generated.exit_code, 0) << generated.errors;
  const Outcome predicted =
      server.Client({"predict", "--model", "adaptive", "the cat the"});
  EXPECT_EQ(predicted.exit_code, 0) << predicted.errors;
  EXPECT_THAT(predicted.output, HasSubstr("the"));
}

TEST_F(CacheCommandsTest, GradientsPrintATableAndAChart) {
  const std::string chart = directory_.File("gradients.svg");
  const std::string table = Run(
      {"gradients", "--models", "lstm", "--distance", "10", "--chart", chart});
  EXPECT_THAT(table, AllOf(ContainsRegex("distance +0 +1 +2 +5 +10\n"),
                           HasSubstr("lstm@1 h 2"), HasSubstr("lstm@1 c 1")));
  EXPECT_THAT(ReadFile(chart), AllOf(HasSubstr("<svg"), HasSubstr("lstm@1")));
  const nlohmann::json json =
      RunJson({"gradients", "--models", "lstm", "--distance", "10"});
  EXPECT_EQ(json["model"], "lstm@1");
  EXPECT_GT(json["places"], 0);
  ASSERT_EQ(json["states"].size(), 4);
  EXPECT_EQ(json["states"][0]["mean"].size(), 11);
  const Outcome refused = RunTrainer(
      {"gradients", "--models", "en", "--corpus", file_, "--store", store_});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.errors,
              HasSubstr("model en@1: expected the family recurrent"));
}

}  // namespace
}  // namespace lmserve
