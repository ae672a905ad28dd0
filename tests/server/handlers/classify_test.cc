// SPDX-License-Identifier: Apache-2.0
#include "server/handlers/classify.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "models/classifier_model.h"
#include "models/text.h"
#include "tests/server/handlers/test_serving_context.h"
#include "tests/server/small_store.h"
#include "tests/testing/neural_models.h"

namespace lmserve {
namespace {

using lm::v1::ClassifiedText;
using lm::v1::ClassifyRequest;
using lm::v1::ClassifyResponse;
using testing::HasSubstr;
using testing::SizeIs;

constexpr char kText[] = "the cat is small\na dog barks\n";

class ClassifyTest : public testing::Test {
 protected:
  ClassifyTest() {
    PublishClassifier(files_.path(), "classifier", kText);
    Open({});
  }

  void Open(const Limits& limits, size_t batch_words = 5) {
    serving_.reset();
    limits_ = limits;
    store_ = files_.Open();
    serving_.emplace(*store_, limits_,
                     BatcherOptions{.batch_words = batch_words});
  }

  absl::StatusOr<ClassifyResponse> Try(const ClassifyRequest& request) {
    ClassifyResponse response;
    absl::Status status = serving_->Answer(HandleClassify, request, &response);
    EXPECT_EQ(serving_->budgets().answer_bytes.taken(), 0u);
    if (!status.ok()) return status;
    return response;
  }

  // Checks the labels of a text against what the model itself returns.
  void ExpectLabels(const std::string& text, size_t k,
                    const ClassifiedText& found) {
    const ModelHandle handle = store_->Get("classifier").value();
    const ClassifierModel& model = *handle->model().classifier();
    std::vector<WordId> words;
    for (absl::string_view word : SplitWords(text)) {
      words.push_back(model.vocabulary().Find(word));
    }
    std::vector<float> log_probs(model.labels().size());
    const ClassifierModel::Sentence sentence = {words,
                                                absl::MakeSpan(log_probs)};
    model.Classify({&sentence, 1});
    std::vector<std::pair<float, size_t>> best;
    for (size_t label = 0; label < log_probs.size(); ++label) {
      best.emplace_back(-log_probs[label], label);
    }
    std::sort(best.begin(), best.end());
    const size_t count = k == 0 ? best.size() : std::min(k, best.size());
    ASSERT_THAT(found.labels(), SizeIs(count)) << text;
    double sum = 0;
    for (size_t i = 0; i < count; ++i) {
      const int place = static_cast<int>(i);
      EXPECT_EQ(found.labels(place), model.labels()[best[i].second]);
      EXPECT_EQ(found.log_probs(place), -best[i].first);
      sum += std::exp(found.log_probs(place));
    }
    if (count == best.size()) EXPECT_NEAR(sum, 1, 1e-5);
    EXPECT_EQ(found.word_count(), words.size());
    EXPECT_EQ(found.unknown_count(),
              static_cast<uint32_t>(std::count(words.begin(), words.end(),
                                               model.vocabulary().unknown())));
  }

  void ExpectError(const std::string& request, absl::StatusCode code,
                   const std::string& message) {
    const absl::Status status = Try(Parse<ClassifyRequest>(request)).status();
    EXPECT_EQ(status.code(), code) << request;
    EXPECT_THAT(std::string(status.message()), HasSubstr(message)) << request;
  }

  const SmallStore files_;
  Limits limits_;
  std::unique_ptr<const ModelStore> store_;
  std::optional<TestServing> serving_;
};

TEST_F(ClassifyTest, ReturnsTheLabelsOfTheModel) {
  const std::vector<std::string> texts = {
      "the cat is small", "", "dog", "a dog zebra barks the small cat", "the"};
  for (size_t batch_words : {1, 5, 100}) {
    Open({}, batch_words);
    for (size_t k : {0, 1, 2, 100}) {
      ClassifyRequest request;
      request.set_model("classifier");
      request.set_best(k);
      for (const std::string& text : texts) request.add_texts()->set_text(text);
      const ClassifyResponse response = Try(request).value();
      EXPECT_EQ(response.model().name(), "classifier");
      ASSERT_THAT(response.texts(), SizeIs(texts.size()));
      for (size_t i = 0; i < texts.size(); ++i) {
        ExpectLabels(texts[i], k, response.texts(static_cast<int>(i)));
      }
    }
  }
}

TEST_F(ClassifyTest, ChecksTheRequest) {
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  ExpectError("model: 'classifier'", kInvalid,
              "texts: expected at least one, found none");
  ExpectError("model: 'classifier' texts { text: '<s>' }", kInvalid,
              "texts[0]: word 0: expected no sentence marker, found <s>");
  ExpectError("model: 'tiny' texts { text: 'the' }",
              absl::StatusCode::kFailedPrecondition,
              "model: 'tiny' is a left-to-right model: it cannot classify "
              "texts; it scores, predicts");
  ExpectError("model: 'nobody' texts {}", absl::StatusCode::kNotFound,
              "nobody");
}

TEST_F(ClassifyTest, LimitsTextsAndLabels) {
  constexpr auto kTooMuch = absl::StatusCode::kResourceExhausted;
  Open({.texts = 3, .predictions = 5});
  const std::string three = "model: 'classifier' texts {} texts {} texts {}";
  EXPECT_TRUE(Try(Parse<ClassifyRequest>(three + " best: 1")).ok());
  ExpectError(three + " best: 2", kTooMuch,
              "best times texts: expected at most 5, found 6");
  ExpectError(three + " texts {}", kTooMuch,
              "texts: expected at most 3, found 4");
}

TEST_F(ClassifyTest, ReservesTheMemoryOfTheAnswer) {
  Open({.all_answer_bytes = 1500});
  EXPECT_TRUE(Try(Parse<ClassifyRequest>("model: 'classifier' texts {}")).ok());
  ExpectError("model: 'classifier' texts {} texts {} texts {} texts {}",
              absl::StatusCode::kResourceExhausted,
              "answer bytes: expected at most 1500, found ");
}

}  // namespace
}  // namespace lmserve
