// SPDX-License-Identifier: Apache-2.0
//
// Every handler reserves the memory of its answer before it computes it.

#include <memory>
#include <string>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/call/status.h"
#include "server/handlers/decoder.h"
#include "server/handlers/generation.h"
#include "server/handlers/predict.h"
#include "server/handlers/rerank.h"
#include "server/handlers/score.h"
#include "tests/server/handlers/test_serving_context.h"
#include "tests/server/small_store.h"

namespace lmserve {
namespace {

using testing::StartsWith;

class AnswerBudgetTest : public testing::Test {
 protected:
  static constexpr uint64_t kBudget = 10'000;

  void ExpectRefused(const absl::Status& status) {
    EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
    EXPECT_THAT(std::string(status.message()),
                StartsWith("answer bytes: expected at most 10000, found "));
    EXPECT_EQ(serving_.budgets().answer_bytes.taken(), 0u);
  }

  template <typename Request, typename Response>
  absl::Status Answer(Task<absl::Status> (*handler)(const ServingContext&,
                                                    Call&, const Request&,
                                                    Response*),
                      const Request& request) {
    Response response;
    return serving_.Answer(handler, request, &response);
  }

  const SmallStore files_;
  const std::unique_ptr<const ModelStore> store_ = files_.Open();
  const Limits limits_{.all_answer_bytes = kBudget};
  TestServing serving_{*store_, limits_};
};

TEST_F(AnswerBudgetTest, ScoresOfWords) {
  auto request = Parse<lm::v1::ScoreRequest>("model: 'tiny' texts {}");
  for (int i = 0; i < 1000; ++i) {
    request.mutable_texts(0)->mutable_ids()->add_ids(3);
  }
  EXPECT_TRUE(Answer(HandleScore, request).ok());
  request.set_per_word(true);
  ExpectRefused(Answer(HandleScore, request));
}

TEST_F(AnswerBudgetTest, Predictions) {
  auto request = Parse<lm::v1::PredictRequest>("model: 'tiny' k: 5");
  request.add_contexts();
  EXPECT_TRUE(Answer(HandlePredict, request).ok());
  for (int i = 0; i < 100; ++i) request.add_contexts();
  ExpectRefused(Answer(HandlePredict, request));
  request.clear_k();
  for (int i = 0; i < 100; ++i) request.add_words("the");
  ExpectRefused(Answer(HandlePredict, request));
}

TEST_F(AnswerBudgetTest, FeaturesOfCandidates) {
  auto request = Parse<lm::v1::RerankRequest>("models: 'tiny'");
  request.add_candidates()->mutable_text()->set_text("the cat");
  EXPECT_TRUE(Answer(HandleRerank, request).ok());
  for (int i = 0; i < 100; ++i) {
    request.add_candidates()->mutable_text()->set_text("the cat");
  }
  ExpectRefused(Answer(HandleRerank, request));
}

TEST_F(AnswerBudgetTest, StepsOfADecoder) {
  Call call;
  Decoder decoder(*serving_, call);
  const auto answer = [&](const lm::v1::DecodeRequest& request) {
    lm::v1::DecodeResponse response;
    absl::Status status = Wait(decoder.Answer(request, &response));
    if (!response.has_failed()) return status;
    return absl::Status(static_cast<absl::StatusCode>(response.failed().code()),
                        response.failed().message());
  };
  EXPECT_TRUE(
      answer(Parse<lm::v1::DecodeRequest>("start { model: 'tiny' }")).ok());
  lm::v1::DecodeRequest best, extend;
  best.mutable_best()->set_k(5);
  extend.mutable_extend()->set_scores_only(true);
  for (int i = 0; i < 1000; ++i) {
    best.mutable_best()->add_handles(0);
    extend.mutable_extend()->add_handles(0);
    extend.mutable_extend()->add_words(3);
  }
  ExpectRefused(answer(best));
  ExpectRefused(answer(extend));
  best.mutable_best()->mutable_handles()->Truncate(10);
  EXPECT_TRUE(answer(best).ok());
}

TEST_F(AnswerBudgetTest, Hypotheses) {
  Call call;
  const auto next = [&](const std::string& text) {
    auto generation = Generation::Start(*serving_, call,
                                        Parse<lm::v1::GenerateRequest>(text));
    EXPECT_TRUE(generation.ok()) << generation.status();
    lm::v1::GenerateResponse response;
    return Wait((*generation)->Next(&response)).status();
  };
  EXPECT_TRUE(next("model: 'endless' max_words: 10 "
                   "beam_search { size: 2 }")
                  .ok());
  ExpectRefused(
      next("model: 'endless' max_words: 200 "
           "beam_search { size: 2 }"));
}

}  // namespace
}  // namespace lmserve
