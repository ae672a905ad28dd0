// SPDX-License-Identifier: Apache-2.0
//
// Many calls at once, through a running server.

#include <grpcpp/client_context.h>
#include <gtest/gtest.h>

#include <future>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "google/rpc/error_details.pb.h"
#include "lm/v1/language_model.grpc.pb.h"
#include "tests/server/rpc/raw_call.h"
#include "tests/server/server_with_options.h"
#include "tests/testing/neural_models.h"

namespace lmserve {
namespace {

constexpr char kText[] = "the cat is small\na dog barks at the cat\n";

class MixedLoadTest : public ServerWithOptions {
 protected:
  MixedLoadTest() { PublishRecurrentModel(files_.path(), "lstm", kText); }
};

std::string RandomText(std::mt19937& random) {
  static constexpr const char* kWords[] = {"the",   "cat", "is", "small",
                                           "zebra", "a",   "dog"};
  std::string text = "the";
  for (unsigned n = random() % 30; n > 0; --n) {
    absl::StrAppend(&text, " ", kWords[random() % 7]);
  }
  return text;
}

// Makes a random call and returns all of its answer, as bytes.
std::string RandomCall(const std::shared_ptr<grpc::Channel>& channel,
                       uint32_t seed) {
  std::mt19937 random(seed);
  lm::v1::LanguageModelService::Stub stub(channel);
  grpc::ClientContext context;
  const std::string model = random() % 3 == 0 ? "tiny" : "lstm";
  std::string answer;
  grpc::Status status;
  switch (random() % 4) {
    case 0: {
      lm::v1::ScoreRequest request;
      request.set_model(model);
      request.set_per_word(true);
      for (unsigned n = 1 + random() % 5; n > 0; --n) {
        request.add_texts()->set_text(RandomText(random));
      }
      lm::v1::ScoreResponse response;
      status = stub.Score(&context, request, &response);
      answer = response.SerializeAsString();
      break;
    }
    case 1: {
      lm::v1::PredictRequest request;
      request.set_model(model);
      request.set_k(1 + random() % 5);
      for (unsigned n = 1 + random() % 5; n > 0; --n) {
        request.add_contexts()->set_text(RandomText(random));
      }
      lm::v1::PredictResponse response;
      status = stub.Predict(&context, request, &response);
      answer = response.SerializeAsString();
      break;
    }
    case 2: {
      lm::v1::RerankRequest request;
      request.add_models("tiny");
      request.add_models("lstm");
      for (unsigned n = 1 + random() % 20; n > 0; --n) {
        request.add_candidates()->mutable_text()->set_text(RandomText(random));
      }
      lm::v1::RerankResponse response;
      status = stub.Rerank(&context, request, &response);
      answer = response.SerializeAsString();
      break;
    }
    default: {
      lm::v1::GenerateRequest request;
      request.set_model(model);
      request.set_seed(seed);
      request.set_max_words(20);
      const auto stream = stub.Generate(&context, request);
      lm::v1::GenerateResponse response;
      while (stream->Read(&response)) answer += response.SerializeAsString();
      status = stream->Finish();
    }
  }
  EXPECT_TRUE(status.ok()) << status.error_message();
  return answer;
}

// Every answer is bitwise equal to the answer of the same call alone.
TEST_F(MixedLoadTest, AnswersDoNotDependOnTheLoad) {
  constexpr uint32_t kCalls = 300, kThreads = 30;
  options_.batcher.batch_words = 100;
  StartServer();
  std::vector<std::string> alone, together(kCalls);
  for (uint32_t i = 0; i < kCalls; ++i) {
    alone.push_back(RandomCall(channel_, i));
  }
  std::vector<std::thread> threads;
  for (uint32_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (uint32_t i = t; i < kCalls; i += kThreads) {
        together[i] = RandomCall(channel_, i);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (uint32_t i = 0; i < kCalls; ++i) EXPECT_EQ(together[i], alone[i]) << i;
}

// The server refuses calls at once when the queue is full, with a RetryInfo,
// and answers all others.
TEST_F(MixedLoadTest, OverloadIsRefusedWithARetryHint) {
  constexpr int kCalls = 40;
  options_.batcher.threads = 1;
  options_.batcher.queue_words = 15'000;
  StartServer();
  lm::v1::ScoreRequest request;
  request.set_model("lstm");
  std::string* text = request.add_texts()->mutable_text();
  for (int i = 0; i < 9'999; ++i) absl::StrAppend(text, "cat ");
  struct Call {
    grpc::ClientContext context;
    lm::v1::ScoreResponse response;
    std::promise<grpc::Status> status;
  };
  const auto stub = lm::v1::LanguageModelService::NewStub(channel_);
  std::vector<Call> calls(kCalls);
  for (Call& call : calls) {
    stub->async()->Score(
        &call.context, &request, &call.response,
        [&call](const grpc::Status& status) { call.status.set_value(status); });
  }
  int answered = 0, refused = 0;
  for (Call& call : calls) {
    const grpc::Status status = call.status.get_future().get();
    if (status.ok()) {
      ++answered;
      continue;
    }
    ++refused;
    EXPECT_EQ(status.error_code(), grpc::RESOURCE_EXHAUSTED);
    google::rpc::Status details;
    ASSERT_TRUE(details.ParseFromString(status.error_details()));
    EXPECT_EQ(details.message(), status.error_message());
    ASSERT_EQ(details.details_size(), 1);
    google::rpc::RetryInfo retry;
    EXPECT_TRUE(details.details(0).UnpackTo(&retry));
    EXPECT_TRUE(retry.has_retry_delay());
  }
  EXPECT_GE(answered, 1);
  EXPECT_GE(refused, 1);
}

TEST_F(MixedLoadTest, NoMoreCallsThanTheLimit) {
  options_.calls.calls = 3;
  options_.limits.generated_words = 1'000'000'000;
  options_.limits.all_generated_words = 100'000'000'000;
  StartServer();
  const std::string endless =
      Parse<lm::v1::GenerateRequest>("model: 'endless' max_words: 1000000000")
          .SerializeAsString();
  std::vector<std::unique_ptr<RawCall>> streams;
  for (int i = 0; i < 3; ++i) {
    streams.push_back(std::make_unique<RawCall>(
        channel_, "/lm.v1.LanguageModelService/Generate"));
    streams.back()->Write(endless);
    ASSERT_TRUE(streams.back()->Read().has_value());
  }
  const grpc::Status refused =
      CallRaw(channel_, "/lm.v1.LanguageModelService/Score", "").status;
  EXPECT_EQ(refused.error_code(), grpc::RESOURCE_EXHAUSTED);
  EXPECT_EQ(refused.error_message(),
            "too many calls at once: 3 of 3 allowed (--max-calls)");
  for (auto& stream : streams) {
    stream->Cancel();
    while (stream->Read()) continue;
    stream->Finish();
  }
}

}  // namespace
}  // namespace lmserve
