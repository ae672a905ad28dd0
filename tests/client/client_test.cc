// SPDX-License-Identifier: Apache-2.0
#include "client/client.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <limits>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "client/error_details.h"
#include "gmock/gmock.h"
#include "google/rpc/error_details.pb.h"
#include "gtest/gtest.h"
#include "tests/testing/fake_service.h"

namespace lmserve {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;
using testing::SizeIs;

const grpc::Status kUnavailable(grpc::StatusCode::UNAVAILABLE, "going away");

lm::v1::ScoreRequest Request(int number = 0) {
  lm::v1::ScoreRequest request;
  request.add_texts()->set_text(absl::StrCat(number));
  return request;
}

bool Endless(lm::v1::ScoreRequest* request) {
  *request = Request();
  return true;
}

TEST(ClientTest, MethodsCallTheMatchingRpcs) {
  FakeServer server({.models = {"en"}});
  const Client client({.address = server.address()});
  EXPECT_EQ(client.Score(Request())->model().name(), "Score");
  EXPECT_EQ(client.Predict({})->model().name(), "Predict");
  EXPECT_EQ(client.Rerank({})->models(0).name(), "Rerank");
  EXPECT_EQ(client.Inspect({})->model().name(), "Inspect");
  EXPECT_EQ(client.Embed({})->model().name(), "Embed");
  EXPECT_EQ(client.Tag({})->model().name(), "Tag");
  EXPECT_EQ(client.Classify({})->model().name(), "Classify");
  EXPECT_EQ(client.ListModels()->models(0).name(), "en");
  EXPECT_EQ(client.GetModel({})->model().name(), "GetModel");
  EXPECT_EQ(client.LoadModel({})->model().name(), "LoadModel");
  EXPECT_TRUE(client.UnloadModel({}).ok());
  EXPECT_EQ(client.SetAlias({})->model().name(), "SetAlias");
}

// How many times the client makes a call if the server fails the first
// `failures` of them.
struct RetryCase {
  int attempts;
  int failures;
  int calls;
  bool ok;
};

class RetryTest : public testing::TestWithParam<RetryCase> {};

TEST_P(RetryTest, RetriesWhileUnavailable) {
  const RetryCase& expected = GetParam();
  FakeServer server({.failures = expected.failures, .failure = kUnavailable});
  const Client client(
      {.address = server.address(), .attempts = expected.attempts});
  const absl::Status status = client.Score(Request()).status();
  EXPECT_EQ(server.calls(), expected.calls);
  if (expected.ok) {
    EXPECT_TRUE(status.ok()) << status;
  } else {
    const std::string times =
        expected.calls == 1
            ? ""
            : absl::StrCat(" (tried ", expected.calls, " times)");
    EXPECT_EQ(status, absl::UnavailableError("going away" + times));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Attempts, RetryTest,
    testing::Values(RetryCase{4, 0, 1, true}, RetryCase{4, 1, 2, true},
                    RetryCase{4, 3, 4, true}, RetryCase{4, 4, 4, false},
                    RetryCase{2, 2, 2, false}, RetryCase{1, 1, 1, false},
                    RetryCase{6, 6, 6, false}, RetryCase{7, 6, 7, true},
                    RetryCase{0, 6, 7, true}));

// Scores this many requests by a stream, and expects one response for each, in
// order.
void ExpectEachIsAnswered(const Client& client, int requests) {
  int sent = 0, received = 0;
  const absl::Status status = client.ScoreStream(
      [&](lm::v1::ScoreRequest* request) {
        *request = Request(sent);
        return sent++ < requests;
      },
      [&](const lm::v1::ScoreResponse& response) {
        EXPECT_EQ(response.scores(0).log_prob(), received++);
        return true;
      });
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(received, requests);
}

// What versions of gRPC say of a stream that a proxy resets.
class ResetTest : public testing::TestWithParam<std::string> {
 protected:
  const grpc::Status failure_{grpc::StatusCode::INTERNAL, GetParam()};
};

TEST_P(ResetTest, IsRetriedAsAnUnavailableServer) {
  FakeServer server({.failures = 2, .failure = failure_});
  const Client client({.address = server.address()});
  EXPECT_TRUE(client.Score(Request()).ok());
  EXPECT_EQ(server.calls(), 3);
  FakeServer lost({.failures = 9, .failure = failure_});
  EXPECT_EQ(Client({.address = lost.address(), .attempts = 1})
                .Score(Request())
                .status(),
            absl::UnavailableError(GetParam()));
}

TEST_P(ResetTest, AScoreStreamContinues) {
  FakeServer server({.failure = failure_, .fail_stream_after = 10});
  const Client client({.address = server.address()});
  ExpectEachIsAnswered(client, 25);
}

TEST_P(ResetTest, AGenerationEndsAfterAWord) {
  FakeServer server({.failure = failure_, .fail_stream_after = 3});
  const Client client({.address = server.address()});
  EXPECT_EQ(client.Generate({}, [](const auto&) { return true; }),
            absl::UnavailableError(GetParam()));
  EXPECT_EQ(server.calls(), 1);
}

INSTANTIATE_TEST_SUITE_P(
    Messages, ResetTest,
    testing::Values(
        "Received RST_STREAM with error code 0",
        "Received RST_STREAM with error code 2",
        "Received RST_STREAM with error code 10",
        "Stream removed (RST_STREAM (Received RST_STREAM with error "
        "code 2))"));

class OtherInternalErrorTest : public testing::TestWithParam<std::string> {};

TEST_P(OtherInternalErrorTest, IsNotRetried) {
  FakeServer server({.failures = 1, .failure = {grpc::INTERNAL, GetParam()}});
  const Client client({.address = server.address()});
  EXPECT_EQ(client.Score(Request()).status(), absl::InternalError(GetParam()));
  EXPECT_EQ(server.calls(), 1);
}

INSTANTIATE_TEST_SUITE_P(
    Messages, OtherInternalErrorTest,
    testing::Values("Received RST_STREAM with error code 1",  // PROTOCOL_ERROR
                    "Received RST_STREAM with error code 20",
                    "Received RST_STREAM with error code ", "RST_STREAM", ""));

class BalancingTest : public testing::Test {
 protected:
  // Options for a client of both servers.
  ClientOptions Both(const std::string& health_service) const {
    return {.address =
                absl::StrCat("ipv4:", up_.address(), ",", half_up_.address()),
            .health_service = health_service};
  }

  FakeServer up_;
  FakeServer half_up_{{.is_up = false}};
};

TEST_F(BalancingTest, CallsSpreadOverAllAddresses) {
  const Client client(Both(""));
  while (up_.calls() == 0 || half_up_.calls() == 0) {  // until both connect
    ASSERT_TRUE(client.Score(Request()).ok());
  }
  const int before = up_.calls();
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(client.Score(Request()).ok());
  EXPECT_EQ(up_.calls() - before, 25);
}

TEST_F(BalancingTest, OnlyServersOfWhichTheServiceIsServingGetCalls) {
  const Client client(Both("up"));
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(client.Score(Request()).ok());
  EXPECT_EQ(up_.calls(), 50);
  EXPECT_EQ(half_up_.calls(), 0);
}

TEST_F(BalancingTest, WithoutAServingServerCallsFail) {
  for (const char* service : {"down", "unknown"}) {
    ClientOptions options = Both(service);
    options.deadline = milliseconds(500);
    EXPECT_TRUE(absl::IsUnavailable(Client(options).Score(Request()).status()));
  }
  EXPECT_EQ(up_.calls() + half_up_.calls(), 0);
}

TEST_F(BalancingTest, AServerThatGoesIsLeftOut) {
  auto gone = std::make_unique<FakeServer>();
  const Client client(
      {.address = absl::StrCat("ipv4:", up_.address(), ",", gone->address())});
  while (gone->calls() == 0) ASSERT_TRUE(client.Score(Request()).ok());
  gone.reset();
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(client.Score(Request()).ok());
}

// A single address has no other policy without a health service.
TEST_F(BalancingTest, TheHealthOfASingleAddressCounts) {
  ClientOptions options = {.address = half_up_.address(),
                           .health_service = "up",
                           .deadline = milliseconds(500)};
  EXPECT_TRUE(absl::IsUnavailable(Client(options).Score(Request()).status()));
  options.address = up_.address();
  EXPECT_TRUE(Client(options).Score(Request()).ok());
}

// A server that is too busy says how long to wait.
TEST(BusyServerTest, IsAskedAgainAfterItsDelay) {
  google::rpc::RetryInfo info;
  info.mutable_retry_delay()->set_nanos(300'000'000);
  google::rpc::Status details;
  details.add_details()->PackFrom(info);
  const grpc::Status busy(grpc::RESOURCE_EXHAUSTED, "too many calls",
                          details.SerializeAsString());
  FakeServer server({.failures = 1, .failure = busy});
  std::vector<std::string> retried;
  const Client client(
      {.address = server.address(), .on_retry = [&](const absl::Status& error) {
         retried.emplace_back(error.message());
       }});
  const auto start = std::chrono::steady_clock::now();
  EXPECT_TRUE(client.Score(Request()).ok());
  EXPECT_GE(std::chrono::steady_clock::now() - start, milliseconds(300));
  EXPECT_THAT(retried, testing::ElementsAre("too many calls"));
}

TEST(BusyServerTest, IsNotAskedAgainIfItsDelayIsTooLong) {
  google::rpc::RetryInfo info;
  info.mutable_retry_delay()->set_seconds(60);
  google::rpc::Status details;
  details.add_details()->PackFrom(info);
  FakeServer server({.failures = 1,
                     .failure = {grpc::RESOURCE_EXHAUSTED, "busy",
                                 details.SerializeAsString()}});
  const Client client({.address = server.address()});
  const absl::Status status = client.Score(Request()).status();
  EXPECT_EQ(status.message(), "busy");
  EXPECT_EQ(RetryDelay(status), std::chrono::minutes(1));
  EXPECT_EQ(server.calls(), 1);
}

TEST(RetryDelayTest, IsBetweenZeroAndAYear) {
  const auto delay_of = [](int64_t seconds, int nanos) {
    google::rpc::RetryInfo info;
    info.mutable_retry_delay()->set_seconds(seconds);
    info.mutable_retry_delay()->set_nanos(nanos);
    absl::Status status = absl::ResourceExhaustedError("busy");
    status.SetPayload("type.googleapis.com/google.rpc.RetryInfo",
                      absl::Cord(info.SerializeAsString()));
    return *RetryDelay(status);
  };
  EXPECT_EQ(delay_of(1, 20'000'000), milliseconds(1'020));
  EXPECT_EQ(delay_of(std::numeric_limits<int64_t>::max(), 0),
            std::chrono::hours(365 * 24));
  EXPECT_EQ(delay_of(std::numeric_limits<int64_t>::min(), -1'000'000),
            milliseconds(0));
}

TEST(CallOptionsTest, MetadataAndPriorityAreSent) {
  FakeServer server;
  const Client client({.address = server.address(),
                       .priority = CallPriority::kBulk,
                       .metadata = {{"x-of-client", "1"}}});
  (void)client.Score(Request());
  EXPECT_THAT(server.metadata(),
              testing::IsSupersetOf({std::pair{"lm-priority", "bulk"},
                                     std::pair{"x-of-client", "1"}}));
  (void)client.Score(Request(), {.priority = CallPriority::kInteractive,
                                 .metadata = {{"x-of-call", "2"}}});
  EXPECT_THAT(server.metadata(),
              testing::IsSupersetOf({std::pair{"lm-priority", "interactive"},
                                     std::pair{"x-of-client", "1"},
                                     std::pair{"x-of-call", "2"}}));
}

TEST(CallOptionsTest, TheDeadlineOfACallPrecedesThatOfTheClient) {
  FakeServer server({.hang = true});
  const Client client({.address = server.address()});
  const auto start = std::chrono::steady_clock::now();
  EXPECT_TRUE(absl::IsDeadlineExceeded(
      client.Score(Request(), {.deadline = milliseconds(100)}).status()));
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
}

class OtherCodeTest : public testing::TestWithParam<grpc::StatusCode> {};

TEST_P(OtherCodeTest, IsNotRetried) {
  FakeServer server({.failures = 1, .failure = {GetParam(), "texts[3]: why"}});
  const Client client({.address = server.address()});
  const absl::Status status = client.Score(Request()).status();
  EXPECT_EQ(static_cast<int>(status.code()), GetParam());
  EXPECT_EQ(status.message(), "texts[3]: why");
  EXPECT_EQ(server.calls(), 1);
}

INSTANTIATE_TEST_SUITE_P(
    Codes, OtherCodeTest,
    testing::Values(grpc::CANCELLED, grpc::UNKNOWN, grpc::INVALID_ARGUMENT,
                    grpc::DEADLINE_EXCEEDED, grpc::NOT_FOUND,
                    grpc::PERMISSION_DENIED, grpc::RESOURCE_EXHAUSTED,
                    grpc::FAILED_PRECONDITION, grpc::ABORTED,
                    grpc::UNIMPLEMENTED, grpc::INTERNAL, grpc::DATA_LOSS));

TEST(DeadlineTest, EndsAnUnansweredCall) {
  FakeServer server({.hang = true});
  const Client client(
      {.address = server.address(), .deadline = milliseconds(100)});
  // Connecting alone may take longer than the deadline: the server must see a
  // cancellation of the first call that reaches it.
  while (server.calls() == 0) {
    const absl::Status status = client.Score(Request()).status();
    ASSERT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
  }
  EXPECT_TRUE(server.WaitForCancellation());
}

TEST(DeadlineTest, CoversAllAttemptsTogether) {
  FakeServer server({.failures = 100, .failure = kUnavailable});
  // Five attempts would take at least 1.2 s because of the pauses between them.
  const Client client(
      {.address = server.address(), .deadline = milliseconds(500)});
  const absl::Status status = client.Score(Request()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable)
      << "the error of the server says more than that the time is over";
  EXPECT_THAT(status.message(), HasSubstr("going away (tried "));
  EXPECT_LT(server.calls(), 5);
}

TEST(DeadlineTest, OfUnaryCallsDoesNotLimitStreams) {
  FakeServer server;
  const Client client(
      {.address = server.address(), .deadline = milliseconds(1)});
  int sent = 0;
  EXPECT_TRUE(client
                  .ScoreStream(
                      [&](lm::v1::ScoreRequest* request) {
                        *request = Request();
                        return ++sent <= 1000;
                      },
                      [](const auto&) { return true; })
                  .ok());
}

TEST(DeadlineTest, LimitsStreams) {
  FakeServer server({.hang = true});
  const Client client(
      {.address = server.address(), .stream_deadline = milliseconds(100)});
  const auto receive = [](const auto&) { return true; };
  EXPECT_EQ(client.Generate({}, receive).code(),
            absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(client.ScoreStream(Endless, receive).code(),
            absl::StatusCode::kDeadlineExceeded);
}

// A port that is bound but not listened on, so connections are refused.
class ClosedPort {
 public:
  ClosedPort() : socket_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    auto* plain = reinterpret_cast<sockaddr*>(&address);
    if (bind(socket_, plain, size) != 0) std::abort();
    if (getsockname(socket_, plain, &size) != 0) std::abort();
    port_ = ntohs(address.sin_port);
  }
  ClosedPort(const ClosedPort&) = delete;
  ClosedPort& operator=(const ClosedPort&) = delete;
  ~ClosedPort() { close(socket_); }

  std::string address() const { return absl::StrCat("127.0.0.1:", port_); }

 private:
  const int socket_;
  int port_;
};

TEST(UnreachableTest, FailsAfterItsAttempts) {
  const ClosedPort port;
  const Client client({.address = port.address(),
                       .deadline = std::chrono::minutes(10),
                       .stream_deadline = std::chrono::minutes(10),
                       .attempts = 2});
  const auto receive = [](const auto&) { return true; };
  const auto start = std::chrono::steady_clock::now();
  EXPECT_TRUE(absl::IsUnavailable(client.Score(Request()).status()));
  EXPECT_TRUE(absl::IsUnavailable(client.Health("").status()));
  EXPECT_TRUE(absl::IsUnavailable(client.Generate({}, receive)));
  EXPECT_TRUE(absl::IsUnavailable(client.ScoreStream(Endless, receive)));
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::minutes(1));
}

TEST(ConnectionTest, IsSharedByThreads) {
  FakeServer server;
  const Client client({.address = server.address()});
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&client, t] {
      for (int i = 0; i < 50; ++i) {
        const auto response = client.Score(Request(100 * t + i));
        ASSERT_TRUE(response.ok()) << response.status();
        EXPECT_EQ(response->scores(0).log_prob(), 100 * t + i);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(server.calls(), 400);
  EXPECT_THAT(server.peers(), SizeIs(1));
}

TEST(ScoreStreamTest, ReturnsResponsesInOrder) {
  constexpr int kRequests = 5000;
  FakeServer server;
  const Client client({.address = server.address()});
  int sent = 0, received = 0;
  const absl::Status status = client.ScoreStream(
      [&](lm::v1::ScoreRequest* request) {
        EXPECT_EQ(request->texts_size(), 0);  // cleared
        *request = Request(sent);
        return sent++ < kRequests;
      },
      [&](const lm::v1::ScoreResponse& response) {
        EXPECT_EQ(response.scores_size(), 1);
        EXPECT_EQ(response.scores(0).log_prob(), received);
        ++received;
        return true;
      });
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(received, kRequests);
}

TEST(ScoreStreamTest, NextMayWaitForAResponse) {
  FakeServer server;
  const Client client({.address = server.address()});
  std::mutex mutex;
  std::condition_variable changed;
  int sent = 0, received = 0;
  const absl::Status status = client.ScoreStream(
      [&](lm::v1::ScoreRequest* request) {
        *request = Request(sent);
        const auto answered = [&] { return received == sent; };
        std::unique_lock<std::mutex> lock(mutex);
        EXPECT_TRUE(changed.wait_for(lock, std::chrono::minutes(1), answered));
        return sent++ < 20;
      },
      [&](const lm::v1::ScoreResponse&) {
        const std::lock_guard<std::mutex> lock(mutex);
        ++received;
        changed.notify_all();
        return true;
      });
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(received, 20);
}

// Each stream breaks after one answer, while the caller waits for the answer to
// a request that was sent and is lost.
TEST(ScoreStreamTest, ABrokenStreamDoesNotWaitForTheNextRequest) {
  FakeServer server({.failure = {grpc::StatusCode::UNAVAILABLE, "restarting"},
                     .fail_stream_after = 1});
  const Client client({.address = server.address()});
  std::mutex mutex;
  std::condition_variable changed;
  int sent = 0, received = 0;
  const absl::Status status = client.ScoreStream(
      [&](lm::v1::ScoreRequest* request) {
        *request = Request(sent);
        std::unique_lock<std::mutex> lock(mutex);
        EXPECT_TRUE(changed.wait_for(lock, std::chrono::seconds(20), [&] {
          return sent < 2 || received == sent;
        }));
        return sent++ < 4;
      },
      [&](const lm::v1::ScoreResponse&) {
        const std::lock_guard<std::mutex> lock(mutex);
        ++received;
        changed.notify_all();
        return true;
      });
  EXPECT_EQ(received, 4) << status;
}

TEST(ScoreStreamTest, AnEndWithoutAllAnswersIsAnError) {
  FakeServer server({.fail_stream_after = 1});  // with OK
  const Client client({.address = server.address()});
  int sent = 0, received = 0;
  EXPECT_EQ(client.ScoreStream(
                [&](lm::v1::ScoreRequest* request) {
                  *request = Request(sent);
                  return sent++ < 3;
                },
                [&](const auto&) { return ++received > 0; }),
            absl::InternalError("the server ended the stream without a "
                                "response to request 1"));
  EXPECT_EQ(received, 1);
}

TEST(ScoreStreamTest, AnAnswerToNothingIsAnError) {
  FakeServer server({.answer_twice = true});
  const Client client({.address = server.address()});
  int sent = 0, received = 0;
  EXPECT_EQ(client.ScoreStream(
                [&](lm::v1::ScoreRequest* request) {
                  *request = Request(sent);
                  return sent++ < 1;
                },
                [&](const auto&) { return ++received > 0; }),
            absl::InternalError("the server sent a response to request 1, "
                                "which it had not received"));
  EXPECT_EQ(received, 1);
}

TEST(ScoreStreamTest, NoRequests) {
  FakeServer server;
  const Client client({.address = server.address()});
  int received = 0;
  EXPECT_TRUE(client
                  .ScoreStream([](lm::v1::ScoreRequest*) { return false; },
                               [&](const auto&) { return ++received > 0; })
                  .ok());
  EXPECT_EQ(received, 0);
}

TEST(ScoreStreamTest, ReceiverStops) {
  FakeServer server;
  const Client client({.address = server.address()});
  int received = 0;
  EXPECT_TRUE(
      client.ScoreStream(Endless, [&](const auto&) { return ++received < 3; })
          .ok());
  EXPECT_EQ(received, 3);
  EXPECT_TRUE(server.WaitForCancellation());
}

TEST(ScoreStreamTest, ServerFailsInTheMiddle) {
  FakeServer server({.failure = {grpc::INVALID_ARGUMENT, "texts[0]: empty"},
                     .fail_stream_after = 10});
  const Client client({.address = server.address()});
  int received = 0;
  EXPECT_EQ(
      client.ScoreStream(Endless, [&](const auto&) { return ++received > 0; }),
      absl::InvalidArgumentError("texts[0]: empty"));
  EXPECT_EQ(received, 10);
}

TEST(GenerateTest, ReceiverStops) {
  FakeServer server;
  const Client client({.address = server.address()});
  int words = 0;
  const absl::Status status =
      client.Generate({}, [&](const lm::v1::GenerateResponse& response) {
        EXPECT_EQ(response.word().word(), "word");
        return ++words < 5;
      });
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(words, 5);
  EXPECT_TRUE(server.WaitForCancellation());
}

// A stream that breaks goes on in a new one: each request has one response, in
// order, and the numbers of requests in errors are those of the caller.
TEST(ScoreStreamTest, ContinuesAfterTheStreamBroke) {
  FakeServer server({.failure = kUnavailable, .fail_stream_after = 10});
  const Client client({.address = server.address()});
  ExpectEachIsAnswered(client, 35);
  EXPECT_EQ(server.calls(), 4);
}

TEST(ScoreStreamTest, ErrorsNumberTheRequestsOfTheCaller) {
  FakeServer server(
      {.failure = kUnavailable,
       .fail_stream_after = 10,
       .second_failure = grpc::Status(grpc::INVALID_ARGUMENT,
                                      "request 10: texts[0]: empty")});
  const Client client({.address = server.address()});
  EXPECT_EQ(client.ScoreStream(Endless, [](const auto&) { return true; }),
            absl::InvalidArgumentError("request 20: texts[0]: empty"));
}

TEST(DecodeTest, BeginsAgainIfTheStreamEndsBeforeItsFirstAnswer) {
  FakeServer server({.failures = 2, .failure = kUnavailable});
  const Client client({.address = server.address()});
  const auto stream = client.Decode();
  lm::v1::DecodeRequest request;
  request.mutable_start()->set_model("en");
  EXPECT_TRUE(stream->Send(request));
  const auto response = stream->Receive();
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->started().model().name(), "en");
  EXPECT_EQ(server.calls(), 3);
  stream->Close();
  EXPECT_TRUE(absl::IsOutOfRange(stream->Receive().status()));
}

TEST(GenerateTest, DoesNotRetryAfterAWord) {
  FakeServer server({.failure = kUnavailable, .fail_stream_after = 3});
  const Client client({.address = server.address()});
  int words = 0;
  EXPECT_EQ(client.Generate({}, [&](const auto&) { return ++words > 0; }),
            absl::UnavailableError("going away"));
  EXPECT_EQ(words, 3);
  EXPECT_EQ(server.calls(), 1);
}

TEST(GenerateTest, RetriesBeforeTheFirstWord) {
  FakeServer server({.failures = 2, .failure = kUnavailable});
  const Client client({.address = server.address()});
  EXPECT_TRUE(client.Generate({}, [](const auto&) { return false; }).ok());
  EXPECT_EQ(server.calls(), 3);
}

TEST(HealthTest, ServingNotServingUnknown) {
  FakeServer server;
  const Client client({.address = server.address()});
  EXPECT_EQ(client.Health("").value(), true);
  EXPECT_EQ(client.Health("up").value(), true);
  EXPECT_EQ(client.Health("down").value(), false);
  EXPECT_TRUE(absl::IsNotFound(client.Health("unknown").status()));
}

TEST(MessageSizeTest, LargerResponsesFail) {
  FakeServer server({.answer_bytes = 2000});
  const Client client({.address = server.address(), .message_bytes = 1000});
  const absl::Status status = client.Score(Request()).status();
  EXPECT_TRUE(absl::IsResourceExhausted(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("1000"));
}

TEST(MessageSizeTest, LargerRequestsFail) {
  FakeServer server;
  const Client client({.address = server.address(), .message_bytes = 1000});
  lm::v1::ScoreRequest request;
  request.add_texts()->set_text(std::string(2000, 'a'));
  const absl::Status status = client.Score(request).status();
  EXPECT_TRUE(absl::IsResourceExhausted(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("1000"));
  EXPECT_EQ(server.calls(), 0);
}

TEST(MessageSizeTest, TheDefaultIsLargerThanThatOfGrpc) {
  FakeServer server({.answer_bytes = 5 << 20});
  const Client client({.address = server.address()});
  EXPECT_TRUE(client.Score(Request()).ok());
}

}  // namespace
}  // namespace lmserve
