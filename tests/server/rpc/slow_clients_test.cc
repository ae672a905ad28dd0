// SPDX-License-Identifier: Apache-2.0
//
// Clients that read their answers slowly or not at all, and clients that send
// compressed requests.

#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lm/v1/language_model.grpc.pb.h"
#include "tests/server/rpc/raw_call.h"
#include "tests/server/server_with_options.h"

namespace lmserve {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

constexpr char kPredict[] = "/lm.v1.LanguageModelService/Predict";
constexpr char kScoreStream[] = "/lm.v1.LanguageModelService/ScoreStream";

// Returns a request with an answer of some megabytes, which is more than a
// connection accepts before the client reads.
std::string LargePredict() {
  lm::v1::PredictRequest request;
  request.set_model("tiny");
  for (int i = 0; i < 10'000; ++i) request.add_contexts();
  return request.SerializeAsString();
}

std::string LargeScore() {
  lm::v1::ScoreRequest request;
  request.set_model("tiny");
  request.set_per_word(true);
  std::string* text = request.add_texts()->mutable_text();
  for (int i = 0; i < 9'999; ++i) absl::StrAppend(text, "cat ");
  return request.SerializeAsString();
}

using SlowClientsTest = ServerWithOptions;

TEST_F(SlowClientsTest, AStreamWhoseAnswersNobodyReadsIsCancelled) {
  options_.stall = milliseconds(100);
  StartServer();
  RawCall call(channel_, kScoreStream);
  const std::string request = LargeScore();
  while (call.Write(request)) continue;  // until the server cancels the call
  while (call.Read()) continue;
  EXPECT_EQ(call.Finish().error_code(), grpc::CANCELLED);
}

TEST_F(SlowClientsTest, AStreamThatIsReadSlowlyIsNotCancelled) {
  options_.stall = milliseconds(1000);
  StartServer();
  RawCall call(channel_, kScoreStream);
  for (int i = 0; i < 4; ++i) {
    ASSERT_TRUE(call.Write(LargeScore()));
    std::this_thread::sleep_for(milliseconds(400));
    ASSERT_TRUE(call.Read().has_value());
  }
  call.WritesDone();
  EXPECT_TRUE(call.Finish().ok());
}

TEST_F(SlowClientsTest, AnswersThatNobodyReadsAreLimitedAndEnd) {
  // Room for one answer in memory, which takes several times the bytes that are
  // sent, and for some that clients have not read.
  options_.limits.all_answer_bytes = 10'000'000;
  options_.stall = milliseconds(2000);
  StartServer();
  const std::string request = LargePredict();
  const size_t bytes = CallRaw(channel_, kPredict, request).messages[0].size();
  ASSERT_GT(bytes, options_.limits.all_answer_bytes / 20);
  std::vector<std::unique_ptr<RawCall>> silent;
  grpc::Status refused;
  while (refused.ok()) {
    silent.push_back(
        std::make_unique<RawCall>(Connect(server_->address()), kPredict));
    silent.back()->Write(request);
    silent.back()->WritesDone();
    refused = CallRaw(channel_, kPredict, request).status;
  }
  EXPECT_LT(silent.size(), 20u);
  EXPECT_EQ(refused.error_code(), grpc::RESOURCE_EXHAUSTED);
  EXPECT_THAT(refused.error_message(), HasSubstr("answer bytes: "));
  while (!CallRaw(channel_, kPredict, request).status.ok()) {
    std::this_thread::sleep_for(milliseconds(50));
  }
}

TEST_F(SlowClientsTest, DrainWaitsForAnswersThatClientsHaveNotRead) {
  StartServer();
  RawCall call(channel_, kPredict);
  call.Write(LargePredict());
  call.WritesDone();
  std::this_thread::sleep_for(milliseconds(300));  // the server has answered
  std::thread drain([&] { server_->Drain(std::chrono::minutes(5)); });
  std::this_thread::sleep_for(milliseconds(1000));
  EXPECT_TRUE(call.Read().has_value());
  EXPECT_TRUE(call.Finish().ok());
  drain.join();
}

TEST_F(SlowClientsTest, CompressedRequestsAreNotDecompressed) {
  StartServer();
  const auto stub = lm::v1::LanguageModelService::NewStub(channel_);
  for (const auto algorithm : {GRPC_COMPRESS_GZIP, GRPC_COMPRESS_DEFLATE}) {
    grpc::ClientContext context;
    context.set_compression_algorithm(algorithm);
    lm::v1::ScoreRequest request;
    request.set_model("tiny");
    request.add_texts()->mutable_text()->assign(100'000, ' ');
    lm::v1::ScoreResponse response;
    EXPECT_EQ(stub->Score(&context, request, &response).error_code(),
              grpc::UNIMPLEMENTED);
  }
}

}  // namespace
}  // namespace lmserve
