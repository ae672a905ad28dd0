// SPDX-License-Identifier: Apache-2.0
#include "model_store/self_test.h"

#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model_store/loaded_version.h"
#include "tests/testing/neural_models.h"
#include "tests/testing/ngram_models.h"
#include "tests/testing/temporary_directory.h"

namespace lmserve {
namespace {

using testing::HasSubstr;

constexpr double kLn10 = 2.302585092994045684;

class SelfTestTest : public testing::Test {
 protected:
  static lm::v1::SelfTest Make(const std::string& text,
                               const std::vector<double>& log10s) {
    lm::v1::SelfTest self_test;
    lm::v1::SelfTestCase& test = *self_test.add_cases();
    test.set_text(text);
    for (double log10 : log10s) test.add_log_probs(log10 * kLn10);
    return self_test;
  }

  std::string Run(const lm::v1::SelfTest& self_test) const {
    return RunSelfTest(model_, self_test).ToString();
  }

  BuiltNgramModel built_ = BuildFromArpa(TinyArpa());
  const AnyModel model_ = AnyModel(std::move(built_.model));
};

// The expected numbers are sums of numbers in TinyArpa().
TEST_F(SelfTestTest, HoldsEachWordAndTheEnd) {
  const std::vector<std::string> texts = {"the cat is small", "a dog zebra"};
  const lm::v1::SelfTest made = MakeSelfTest(model_, texts);
  ASSERT_EQ(made.cases_size(), 2);
  EXPECT_EQ(made.cases(0).text(), "the cat is small");
  const std::vector<std::vector<double>> expected = {
      {-0.3, -0.18, -0.22, -0.17, -0.21},
      // "a dog" after the backoff -0.45 of "<s> a"; <unk> after the backoff
      // -0.15 of "dog".
      {-0.6, -0.45 - 0.4, -0.15 - 1.5, -0.9}};
  for (size_t i = 0; i < expected.size(); ++i) {
    const auto& found = made.cases(i).log_probs();
    ASSERT_EQ(found.size(), static_cast<int>(expected[i].size()));
    for (size_t t = 0; t < expected[i].size(); ++t) {
      EXPECT_NEAR(found[t], expected[i][t] * kLn10, 1e-5) << i << ", " << t;
    }
  }
}

TEST_F(SelfTestTest, AgreesWithTheModel) {
  EXPECT_EQ(Run(Make("the cat", {-0.3, -0.18, -0.2 - 0.25 - 0.9})), "OK");
  EXPECT_EQ(Run(Make("", {-0.9 - 0.4})), "OK");
}

TEST_F(SelfTestTest, ReportsANumberThatDiffers) {
  lm::v1::SelfTest wrong = Make("", {-1.3});
  *wrong.add_cases() = Make("the cat", {-0.3, -0.19, -1.35}).cases(0);
  const std::string error = Run(wrong);
  EXPECT_THAT(error, HasSubstr("DATA_LOSS"));
  EXPECT_THAT(error, HasSubstr("self-test 1, word 1: log-probability: "
                               "expected -0.437"));
  EXPECT_THAT(error, HasSubstr("found -0.414"));
}

TEST_F(SelfTestTest, ToleranceIsATenThousandth) {
  for (double sign : {-1.0, 1.0}) {
    lm::v1::SelfTest close = Make("", {-1.3});
    const float exact = close.cases(0).log_probs(0);
    close.mutable_cases(0)->set_log_probs(0, exact + sign * 0.9e-4);
    EXPECT_EQ(Run(close), "OK");
    close.mutable_cases(0)->set_log_probs(0, exact + sign * 1.1e-4);
    EXPECT_THAT(Run(close), HasSubstr("DATA_LOSS"));
  }
}

// A mixture is as exact as its members.
TEST(SelfTestTolerance, IsLargerForReducedWeights) {
  const auto recurrent = [](Precision precision) {
    RecurrentNetworkOptions options;
    options.embedding = 4;
    options.stack.units = 4;
    return RecurrentTestModel(VocabularyOf("a b"), options, precision);
  };
  const auto mixture = [&](Precision precision) {
    std::vector<TestModel> members;
    members.push_back(recurrent(Precision::kFloat));
    members.push_back(recurrent(precision));
    return MixtureTestModel(std::move(members), {0.5, 0.5});
  };
  const TestModel ngram = NgramTestModel(BuildFromArpa(TinyArpa()));
  EXPECT_EQ(SelfTestTolerance(ngram.Files()), 1e-4f);
  for (const auto& make : {std::function(recurrent), std::function(mixture)}) {
    EXPECT_EQ(SelfTestTolerance(make(Precision::kFloat).Files()), 1e-4f);
    EXPECT_EQ(SelfTestTolerance(make(Precision::kBf16).Files()), 1e-2f);
    EXPECT_EQ(SelfTestTolerance(make(Precision::kInt8).Files()), 1e-2f);
  }
}

// The tolerance holds for each number, and a larger one allows more.
TEST_F(SelfTestTest, ALargerTolerance) {
  lm::v1::SelfTest close = Make("", {-1.3});
  const float exact = close.cases(0).log_probs(0);
  close.mutable_cases(0)->set_log_probs(0, exact + 0.9e-2);
  EXPECT_TRUE(RunSelfTest(model_, close, 1e-2f).ok());
  close.mutable_cases(0)->set_log_probs(0, exact + 1.1e-2);
  EXPECT_FALSE(RunSelfTest(model_, close, 1e-2f).ok());
}

TEST_F(SelfTestTest, RequiresAText) {
  EXPECT_THAT(Run({}), HasSubstr("expected a text, found none"));
}

TEST_F(SelfTestTest, WrongNumberOfWords) {
  EXPECT_THAT(Run(Make("the", {-0.3})),
              HasSubstr("self-test 0: expected 1 words, found 2"));
  EXPECT_THAT(Run(Make("", {-1.3, -1.3})),
              HasSubstr("self-test 0: expected 2 words, found 1"));
}

// <s> is never predicted, so it is the only word of probability 0 here.
TEST_F(SelfTestTest, InfinityEqualsOnlyItself) {
  const float infinity = std::numeric_limits<float>::infinity();
  lm::v1::SelfTest self_test =
      MakeSelfTest(model_, std::vector<std::string>{"<s>"});
  ASSERT_EQ(self_test.cases(0).log_probs(0), -infinity);
  EXPECT_EQ(Run(self_test), "OK");
  for (float other : {-100.0f, infinity, std::nanf("")}) {
    self_test.mutable_cases(0)->set_log_probs(0, other);
    EXPECT_THAT(Run(self_test), HasSubstr("DATA_LOSS")) << other;
  }
}

TEST_F(SelfTestTest, NanEqualsNothing) {
  lm::v1::SelfTest self_test = Make("", {-1.3});
  self_test.mutable_cases(0)->set_log_probs(0, std::nanf(""));
  EXPECT_THAT(Run(self_test), HasSubstr("DATA_LOSS"));
}

// With a bidirectional model there is one number per word and none for </s>.
TEST(BidirectionalSelfTest, HoldsEachWordGivenTheOthers) {
  const TemporaryDirectory store;
  PublishBidirectionalModel(store.path(), "both", "the cat is small\n");
  const ModelHandle handle = LoadModel(store.path(), "both", 1).value();
  const AnyModel& model = handle->model();
  const std::vector<std::string> texts = {"the cat is small", "zebra", ""};
  lm::v1::SelfTest made = MakeSelfTest(model, texts);
  ASSERT_EQ(made.cases_size(), 3);
  EXPECT_EQ(made.cases(0).log_probs_size(), 4);
  EXPECT_EQ(made.cases(1).log_probs_size(), 1);
  EXPECT_EQ(made.cases(2).log_probs_size(), 0);
  const Vocabulary& words = model.vocabulary();
  const WordId before[] = {words.Find("the")};
  const WordId after[] = {words.Find("is"), words.Find("small")};
  const WordId cat = words.Find("cat");
  const BidirectionalModel::Gap gap = {before, after};
  float log_prob;
  model.bidirectional()->Rate({&gap, 1}, {&cat, 1}, &log_prob);
  EXPECT_EQ(made.cases(0).log_probs(1), log_prob);
  EXPECT_TRUE(RunSelfTest(model, made).ok());
  made.mutable_cases(0)->set_log_probs(2, -20);
  EXPECT_THAT(std::string(RunSelfTest(model, made).message()),
              HasSubstr("self-test 0, word 2: log-probability: expected -20"));
}

// The test of a tagger has the probability of each word's label, that of a
// classifier of each label, and a model with other weights fails it.
TEST(LabelingSelfTestTest, HoldsTheLabels) {
  const TemporaryDirectory store;
  const std::string text = "the cat is small .";
  PublishTagger(store.path(), "tagger", text);
  PublishTagger(store.path(), "other", text + " dog");
  PublishClassifier(store.path(), "classifier", text);
  PublishClassifier(store.path(), "other-classifier", text + " dog");
  for (const char* name : {"tagger", "classifier"}) {
    const ModelHandle handle = LoadModel(store.path(), name, 1).value();
    const std::string texts[] = {"the cat unseen", ""};
    const lm::v1::SelfTest made = MakeSelfTest(handle->model(), texts);
    const bool tags = handle->model().kind() == ModelKind::kTagger;
    ASSERT_EQ(made.cases_size(), 2);
    EXPECT_EQ(made.cases(0).log_probs_size(), 3);
    EXPECT_EQ(made.cases(1).log_probs_size(), tags ? 0 : 3);
    for (float log_prob : made.cases(0).log_probs()) EXPECT_LE(log_prob, 0);
    EXPECT_EQ(RunSelfTest(handle->model(), made).ToString(), "OK");
    const ModelHandle other =
        LoadModel(store.path(), tags ? "other" : "other-classifier", 1).value();
    EXPECT_THAT(RunSelfTest(other->model(), made).ToString(),
                HasSubstr("log-probability"));
  }
}

}  // namespace
}  // namespace lmserve
