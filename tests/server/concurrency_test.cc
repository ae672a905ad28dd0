// SPDX-License-Identifier: Apache-2.0
//
// Many threads call the handlers of one store at once, without gRPC. Under
// ThreadSanitizer this test checks everything that the handlers share, because
// ThreadSanitizer sees every lock and atomic involved.

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "server/call/limits.h"
#include "server/handlers/generation.h"
#include "server/handlers/model_management.h"
#include "server/handlers/predict.h"
#include "server/handlers/rerank.h"
#include "server/handlers/score.h"
#include "tests/server/handlers/test_serving_context.h"
#include "tests/server/small_store.h"

namespace lmserve {
namespace {

// Returns the serialized answers of all handlers.
std::string AnswerAll(const TestServing& serving, int seed) {
  const auto score = Parse<lm::v1::ScoreRequest>(
      "model: 'tiny' texts { text: 'the cat is small' } "
      "texts { text: 'a zebra barks' } per_word: true");
  const auto predict = Parse<lm::v1::PredictRequest>(
      "model: 'tiny@stable' contexts { text: 'the cat' } contexts {} k: 5");
  const auto rerank = Parse<lm::v1::RerankRequest>(
      "models: 'tiny' models: 'flat' candidates { text { text: 'a dog' } } "
      "candidates { text { text: 'the cat' } }");
  auto generate =
      Parse<lm::v1::GenerateRequest>("model: 'endless' max_words: 20");
  generate.set_seed(seed);

  std::string all;
  lm::v1::ScoreResponse scored;
  EXPECT_TRUE(serving.Answer(HandleScore, score, &scored).ok());
  scored.AppendToString(&all);
  lm::v1::PredictResponse predicted;
  EXPECT_TRUE(serving.Answer(HandlePredict, predict, &predicted).ok());
  predicted.AppendToString(&all);
  lm::v1::RerankResponse reranked;
  EXPECT_TRUE(serving.Answer(HandleRerank, rerank, &reranked).ok());
  reranked.AppendToString(&all);
  Call call;
  lm::v1::ListModelsResponse models;
  EXPECT_TRUE(HandleListModels((*serving).store, call, {}, &models).ok());
  all += std::to_string(models.models_size());
  const auto generation = Generation::Start(*serving, call, generate).value();
  lm::v1::GenerateResponse word;
  for (; Wait(generation->Next(&word)).value(); word.Clear()) {
    word.AppendToString(&all);
  }
  return all;
}

TEST(ConcurrencyTest, EveryThreadGetsTheAnswersOfOne) {
  constexpr int kThreads = 8, kSeeds = 50;
  const SmallStore small;
  const auto store = small.Open();
  const Limits limits;
  const TestServing serving(*store, limits);
  std::vector<std::string> expected;
  expected.reserve(kSeeds);
  for (int seed = 0; seed < kSeeds; ++seed) {
    expected.push_back(AnswerAll(serving, seed));
  }
  std::vector<std::vector<std::string>> found(kThreads);
  std::vector<std::thread> threads;
  threads.reserve(found.size());
  for (std::vector<std::string>& mine : found) {
    threads.emplace_back([&serving, &mine] {
      for (int seed = 0; seed < kSeeds; ++seed) {
        mine.push_back(AnswerAll(serving, seed));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::vector<std::string>& mine : found) {
    EXPECT_EQ(mine, expected);
  }
}

}  // namespace
}  // namespace lmserve
