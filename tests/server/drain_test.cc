// SPDX-License-Identifier: Apache-2.0
//
// The end of a server: Drain() and the destructor.

#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "grpc/health/v1/health.pb.h"
#include "gtest/gtest.h"
#include "tests/server/live_server.h"

namespace lmserve {
namespace {

using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;
using std::chrono::milliseconds;

constexpr char kScore[] = "/lm.v1.LanguageModelService/Score";
constexpr char kScoreStream[] = "/lm.v1.LanguageModelService/ScoreStream";
constexpr char kGenerate[] = "/lm.v1.LanguageModelService/Generate";

// Far longer than a test may take, so a drain that returns did not use it up.
constexpr milliseconds kLong = std::chrono::minutes(5);

const Limits kUnending = {.generated_words = 1'000'000'000,
                          .all_generated_words = 10'000'000'000};

std::string ScoreBytes() {
  return Parse<lm::v1::ScoreRequest>("model: 'tiny' texts { text: 'the cat' }")
      .SerializeAsString();
}

std::string GenerateBytes(const std::string& more) {
  return Parse<lm::v1::GenerateRequest>("model: 'endless' seed: 1 " + more)
      .SerializeAsString();
}

// A call of grpc.health.v1.Health.Watch for one service.
class Watch {
 public:
  Watch(const LiveServer& live, const std::string& service)
      : call_(live.channel(), "/grpc.health.v1.Health/Watch") {
    HealthCheckRequest request;
    request.set_service(service);
    call_.Write(request.SerializeAsString());
    call_.WritesDone();
  }

  HealthCheckResponse::ServingStatus Next() {
    HealthCheckResponse response;
    response.ParseFromString(call_.Read().value_or(""));  // UNKNOWN: no more
    return response.status();
  }

 private:
  RawCall call_;
};

TEST(DrainTest, WatchersOfHealthAreNotified) {
  LiveServer live;
  std::thread drain;
  {
    Watch server(live, ""), model(live, "tiny");
    EXPECT_EQ(server.Next(), HealthCheckResponse::SERVING);
    EXPECT_EQ(model.Next(), HealthCheckResponse::SERVING);
    drain = std::thread([&] { live.server().Drain(kLong); });
    EXPECT_EQ(server.Next(), HealthCheckResponse::NOT_SERVING);
    EXPECT_EQ(model.Next(), HealthCheckResponse::NOT_SERVING);
  }
  drain.join();
}

// Waits until a server refuses a new call, and returns the error.
grpc::Status WaitForRefusal(const LiveServer& live) {
  grpc::Status status;
  while (status.ok()) {
    status = CallRaw(live.channel(), kScore, ScoreBytes()).status;
  }
  return status;
}

TEST(DrainTest, ARunningScoreStreamContinuesToItsEnd) {
  LiveServer live;
  RawCall scores(live.channel(), kScoreStream);
  scores.Write(ScoreBytes());
  ASSERT_TRUE(scores.Read().has_value());
  std::thread drain([&] { live.server().Drain(kLong); });
  WaitForRefusal(live);
  for (int i = 0; i < 100; ++i) {
    EXPECT_TRUE(scores.Write(ScoreBytes()));
    EXPECT_TRUE(scores.Read().has_value());
  }
  scores.WritesDone();
  EXPECT_FALSE(scores.Read().has_value());
  EXPECT_TRUE(scores.Finish().ok());
  drain.join();
}

TEST(DrainTest, ANewConnectionIsUnavailable) {
  LiveServer live;
  RawCall scores(live.channel(), kScoreStream);
  scores.Write(ScoreBytes());
  ASSERT_TRUE(scores.Read().has_value());
  std::thread drain([&] { live.server().Drain(kLong); });
  WaitForRefusal(live);
  EXPECT_EQ(CallRaw(Connect(live.address()), kScore, ScoreBytes())
                .status.error_code(),
            grpc::UNAVAILABLE);
  scores.WritesDone();
  EXPECT_TRUE(scores.Finish().ok());
  drain.join();
}

// The status must be UNAVAILABLE: unlike CANCELLED, clients retry it on another
// server.
TEST(DrainTest, NewCallsOnAnOpenConnectionAreUnavailable) {
  LiveServer live;
  RawCall scores(live.channel(), kScoreStream);
  scores.Write(ScoreBytes());
  ASSERT_TRUE(scores.Read().has_value());
  std::thread drain([&] { live.server().Drain(kLong); });
  EXPECT_EQ(WaitForRefusal(live).error_code(), grpc::UNAVAILABLE);
  scores.WritesDone();
  EXPECT_TRUE(scores.Finish().ok());
  drain.join();
}

// The connection closes right after the last words, which must not be lost.
TEST(DrainTest, ARunningGenerateContinuesToItsEnd) {
  LiveServer live;
  RawCall words(live.channel(), kGenerate);
  words.Write(GenerateBytes("max_words: 5000"));
  words.WritesDone();
  ASSERT_TRUE(words.Read().has_value());
  std::thread drain([&] { live.server().Drain(kLong); });
  WaitForRefusal(live);
  int messages = 1;
  while (words.Read()) ++messages;
  EXPECT_EQ(messages, 5000 + 1);  // with the end
  const grpc::Status status = words.Finish();
  EXPECT_TRUE(status.ok()) << status.error_message();
  drain.join();
}

TEST(DrainTest, AWatcherOfHealthDoesNotDelayIt) {
  LiveServer live;
  Watch server(live, "");
  EXPECT_EQ(server.Next(), HealthCheckResponse::SERVING);
  const auto start = std::chrono::steady_clock::now();
  live.server().Drain(milliseconds(1500));
  EXPECT_LT(std::chrono::steady_clock::now() - start, milliseconds(1500));
}

// Clients retry UNAVAILABLE; CANCELLED would reach their users.
TEST(DrainTest, NoCallThatArrivesDuringADrainIsCancelled) {
  for (int trial = 0; trial < 3; ++trial) {
    LiveServer live;
    std::atomic<bool> stop = false;
    std::atomic<int> answered = 0, other = 0;
    std::vector<std::thread> clients;
    clients.reserve(8);
    for (int i = 0; i < 8; ++i) {
      clients.emplace_back([&] {
        const auto channel = Connect(live.address());
        while (!stop) {
          const auto status =
              CallRaw(channel, kScore, ScoreBytes()).status.error_code();
          if (status == grpc::StatusCode::OK) ++answered;
          if (status != grpc::StatusCode::OK &&
              status != grpc::StatusCode::UNAVAILABLE) {
            ++other;
          }
        }
      });
    }
    while (answered < 100) std::this_thread::sleep_for(milliseconds(1));
    live.server().Drain(kLong);
    std::this_thread::sleep_for(milliseconds(20));
    stop = true;
    for (std::thread& client : clients) client.join();
    EXPECT_EQ(other, 0);
  }
}

// UNAVAILABLE, which clients retry, and in our words.
void ExpectAskAgain(RawCall& call) {
  const grpc::Status status = call.Finish();
  EXPECT_EQ(status.error_code(), grpc::UNAVAILABLE);
  EXPECT_THAT(status.error_message(),
              testing::EndsWith("the server is shutting down; ask again"));
}

TEST(DrainTest, EndsCallsThatRunAfterTheDeadline) {
  LiveServer live(kUnending);
  RawCall scores(live.channel(), kScoreStream);
  RawCall words(live.channel(), kGenerate);
  scores.Write(ScoreBytes());
  ASSERT_TRUE(scores.Read().has_value());
  words.Write(GenerateBytes("max_words: 1000000000"));
  words.WritesDone();
  ASSERT_TRUE(words.Read().has_value());
  const auto start = std::chrono::steady_clock::now();
  std::thread drain([&] { live.server().Drain(milliseconds(200)); });
  while (words.Read()) continue;
  EXPECT_GE(std::chrono::steady_clock::now() - start, milliseconds(200));
  ExpectAskAgain(words);
  EXPECT_FALSE(scores.Read().has_value());
  ExpectAskAgain(scores);
  drain.join();
}

// A client that sends one request after the other, whatever the server does
// with them.
TEST(DrainTest, EndsABusyStreamAfterTheDeadline) {
  LiveServer live;
  RawCall scores(live.channel(), kScoreStream);
  scores.Write(ScoreBytes());
  ASSERT_TRUE(scores.Read().has_value());
  std::thread drain([&] { live.server().Drain(milliseconds(200)); });
  while (scores.Write(ScoreBytes()) && scores.Read().has_value()) continue;
  ExpectAskAgain(scores);
  drain.join();
}

TEST(DrainTest, EndsAtOnceWithoutCalls) {
  LiveServer live;
  EXPECT_TRUE(CallRaw(live.channel(), kScore, ScoreBytes()).status.ok());
  live.server().Drain(kLong);
  EXPECT_EQ(CallRaw(live.channel(), kScore, ScoreBytes()).status.error_code(),
            grpc::UNAVAILABLE);
}

TEST(DrainTest, ASecondDrainHasNoEffect) {
  LiveServer live;
  live.server().Drain(kLong);
  live.server().Drain(kLong);
}

TEST(DestructorTest, CancelsRunningCalls) {
  LiveServer live(kUnending);
  std::vector<std::unique_ptr<RawCall>> calls;
  for (int i = 0; i < 8; ++i) {
    const bool generate = i % 2 == 0;
    calls.push_back(std::make_unique<RawCall>(
        live.channel(), generate ? kGenerate : kScoreStream));
    calls.back()->Write(generate ? GenerateBytes("max_words: 1000000000")
                                 : ScoreBytes());
    ASSERT_TRUE(calls.back()->Read().has_value());
  }
  live.Destroy();
  for (const auto& call : calls) {
    while (call->Read()) continue;
    EXPECT_FALSE(call->Finish().ok());
  }
}

}  // namespace
}  // namespace lmserve
