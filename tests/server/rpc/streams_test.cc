// SPDX-License-Identifier: Apache-2.0
//
// The streaming methods of a running server.

#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/handlers/score.h"
#include "tests/server/handlers/test_serving_context.h"
#include "tests/server/live_server.h"

namespace lmserve {
namespace {

using lm::v1::DecodeRequest;
using lm::v1::DecodeResponse;
using lm::v1::GenerateRequest;
using lm::v1::GenerateResponse;
using lm::v1::ScoreRequest;
using lm::v1::ScoreResponse;
using std::chrono::milliseconds;

// Returns the i-th of many different requests.
ScoreRequest Request(int i) {
  const char* words[] = {"the", "cat", "is", "small", "zebra"};
  ScoreRequest request;
  request.set_model(i % 3 == 0 ? "flat" : "tiny");
  request.set_include_end(i % 2 != 0);
  std::string* text = request.add_texts()->mutable_text();
  for (int left = i + 1; left > 0; left /= 5) {
    absl::StrAppend(text, words[left % 5], " ");
  }
  return request;
}

// Far longer than a test waits. A drain with this deadline returns early
// because no calls are running.
constexpr milliseconds kLong = std::chrono::minutes(5);

TEST(ScoreStreamTest, ThousandsOfAnswersInOrder) {
  constexpr int kRequests = 3000;
  LiveServer live;
  const SmallStore files;
  const std::unique_ptr<const ModelStore> store = files.Open();
  const Limits limits;
  const TestServing serving(*store, limits);
  grpc::ClientContext context;
  auto stream = live.stub().ScoreStream(&context);
  std::thread writer([&] {
    for (int i = 0; i < kRequests; ++i) stream->Write(Request(i));
    stream->WritesDone();
  });
  int answers = 0, wrong = 0;
  ScoreResponse response;
  for (; stream->Read(&response); ++answers) {
    ScoreResponse expected;
    EXPECT_TRUE(serving.Answer(HandleScore, Request(answers), &expected).ok());
    wrong += response.SerializeAsString() != expected.SerializeAsString();
  }
  writer.join();
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_EQ(answers, kRequests);
  EXPECT_EQ(wrong, 0);
}

TEST(ScoreStreamTest, AnswersEachRequestAtOnce) {
  LiveServer live;
  grpc::ClientContext context;
  auto stream = live.stub().ScoreStream(&context);
  ScoreResponse response;
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(stream->Write(Request(i)));
    ASSERT_TRUE(stream->Read(&response));
    EXPECT_EQ(response.model().name(), Request(i).model());
  }
  stream->WritesDone();
  EXPECT_TRUE(stream->Finish().ok());
}

TEST(ScoreStreamTest, AnErrorEndsItAndNamesTheRequest) {
  LiveServer live;
  RawCall call(live.channel(), "/lm.v1.LanguageModelService/ScoreStream");
  for (int i = 0; i < 100; ++i) {
    if (i == 57) {
      call.Write(Parse<ScoreRequest>("model: 'tiny' texts { text: '<s>' }")
                     .SerializeAsString());
    } else {
      call.Write(Request(i).SerializeAsString());
    }
  }
  int answers = 0;
  while (call.Read()) ++answers;
  const grpc::Status status = call.Finish();
  EXPECT_EQ(answers, 57);
  EXPECT_EQ(status.error_code(), grpc::INVALID_ARGUMENT);
  EXPECT_EQ(
      status.error_message(),
      "request 57: texts[0]: word 0: expected no sentence marker, found <s>");
}

TEST(ScoreStreamTest, NoRequestsNoAnswers) {
  LiveServer live;
  grpc::ClientContext context;
  auto stream = live.stub().ScoreStream(&context);
  stream->WritesDone();
  ScoreResponse response;
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_TRUE(stream->Finish().ok());
}

// The drain ends at once only if no call is left.
TEST(ScoreStreamTest, ACancelledCallEnds) {
  LiveServer live;
  {
    RawCall call(live.channel(), "/lm.v1.LanguageModelService/ScoreStream");
    call.Write(Request(0).SerializeAsString());
    ASSERT_TRUE(call.Read().has_value());
    call.Cancel();
    EXPECT_EQ(call.Finish().error_code(), grpc::CANCELLED);
  }
  live.server().Drain(kLong);
}

// Sends requests before it reads the answers, as a decoder does.
TEST(DecodeTest, AnswersEachRequestInOrder) {
  LiveServer live;
  grpc::ClientContext context;
  auto stream = live.stub().Decode(&context);
  stream->Write(
      Parse<DecodeRequest>("start { model: 'tiny' words: 'the' words: 'a' }"));
  DecodeResponse response;
  ASSERT_TRUE(stream->Read(&response));
  const lm::v1::DecodeStarted started = response.started();
  EXPECT_EQ(started.model().name(), "tiny");
  for (int i = 0; i < 100; ++i) {
    DecodeRequest request;
    for (int j = 0; j <= i; ++j) {
      request.mutable_extend()->add_handles(started.handle());
      request.mutable_extend()->add_words(started.ids(j % 2));
    }
    request.mutable_extend()->set_scores_only(true);
    ASSERT_TRUE(stream->Write(request));
  }
  stream->WritesDone();
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(stream->Read(&response));
    EXPECT_EQ(response.extended().log_probs_size(), i + 1);
  }
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_TRUE(stream->Finish().ok());
}

TEST(DecodeTest, ARequestThatFailsLeavesTheStream) {
  LiveServer live;
  grpc::ClientContext context;
  auto stream = live.stub().Decode(&context);
  stream->Write(Parse<DecodeRequest>("start { model: 'tiny' }"));
  stream->Write(Parse<DecodeRequest>("extend { handles: 5 words: 3 }"));
  stream->Write(Parse<DecodeRequest>("extend { handles: 0 words: 3 }"));
  stream->WritesDone();
  DecodeResponse response;
  EXPECT_TRUE(stream->Read(&response));
  EXPECT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.failed().code(), grpc::INVALID_ARGUMENT);
  EXPECT_EQ(response.failed().message(),
            "extend.handles[0]: expected a handle of this stream, found 5");
  EXPECT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.extended().handles_size(), 1);
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_TRUE(stream->Finish().ok());
}

TEST(DecodeTest, AnErrorOfTheStartEndsIt) {
  LiveServer live;
  grpc::ClientContext context;
  auto stream = live.stub().Decode(&context);
  stream->Write(Parse<DecodeRequest>("start { model: 'none' }"));
  DecodeResponse response;
  EXPECT_FALSE(stream->Read(&response));
  const grpc::Status status = stream->Finish();
  EXPECT_EQ(status.error_code(), grpc::NOT_FOUND);
  EXPECT_THAT(status.error_message(),
              testing::StartsWith("request 0: model 'none' is not served"));
}

TEST(DecodeTest, ACancelledCallEnds) {
  LiveServer live;
  {
    grpc::ClientContext context;
    auto stream = live.stub().Decode(&context);
    stream->Write(Parse<DecodeRequest>("start { model: 'tiny' }"));
    DecodeResponse response;
    ASSERT_TRUE(stream->Read(&response));
    context.TryCancel();
    EXPECT_EQ(stream->Finish().error_code(), grpc::CANCELLED);
  }
  live.server().Drain(kLong);
}

std::string EndlessRequest() {
  return Parse<GenerateRequest>("model: 'endless' max_words: 1000000000")
      .SerializeAsString();
}

const Limits kNoEnd = {.generated_words = 1'000'000'000,
                       .all_generated_words = 100'000'000'000};

TEST(GenerateTest, ACancelledCallEnds) {
  LiveServer live(kNoEnd);
  {
    RawCall call(live.channel(), "/lm.v1.LanguageModelService/Generate");
    call.Write(EndlessRequest());
    call.WritesDone();
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(call.Read().has_value());
    call.Cancel();
    while (call.Read()) continue;
    EXPECT_EQ(call.Finish().error_code(), grpc::CANCELLED);
  }
  // The server still answers.
  grpc::ClientContext context;
  ScoreResponse response;
  EXPECT_TRUE(live.stub().Score(&context, Request(1), &response).ok());
  live.server().Drain(kLong);
}

TEST(GenerateTest, AClientThatDoesNotReadDelaysNobody) {
  LiveServer live(kNoEnd);
  RawCall idle(live.channel(), "/lm.v1.LanguageModelService/Generate");
  idle.Write(EndlessRequest());
  idle.WritesDone();
  ASSERT_TRUE(idle.Read().has_value());
  for (int i = 0; i < 20; ++i) {
    EXPECT_TRUE(CallRaw(live.channel(), "/lm.v1.LanguageModelService/Score",
                        Request(i).SerializeAsString())
                    .status.ok());
  }
}

TEST(GenerateTest, ADeadlineEndsIt) {
  LiveServer live(kNoEnd);
  {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + milliseconds(50));
    GenerateRequest request;
    request.ParseFromString(EndlessRequest());
    auto words = live.stub().Generate(&context, request);
    GenerateResponse response;
    while (words->Read(&response)) continue;
    EXPECT_EQ(words->Finish().error_code(), grpc::DEADLINE_EXCEEDED);
  }
  live.server().Drain(kLong);
}

}  // namespace
}  // namespace lmserve
