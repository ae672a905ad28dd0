// SPDX-License-Identifier: Apache-2.0
#include "server/http/http_call.h"

#include <chrono>
#include <memory>

#include "gtest/gtest.h"
#include "tests/server/http/fake_http_stream.h"

namespace lmserve {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;

FakeHttpStream StreamWith(std::vector<HttpField> fields) {
  return FakeHttpStream({.method = "POST",
                         .path = "/",
                         .query = "",
                         .authority = "localhost",
                         .fields = std::move(fields)},
                        {}, std::make_shared<FakeHttpStream::Ending>());
}

TEST(HttpCallTest, TimesAreThoseOfGrpc) {
  EXPECT_EQ(HttpCall::ParseTimeout("100m"), milliseconds(100));
  EXPECT_EQ(HttpCall::ParseTimeout("1H"), hours(1));
  EXPECT_EQ(HttpCall::ParseTimeout("2M"), std::chrono::minutes(2));
  EXPECT_EQ(HttpCall::ParseTimeout("3S"), std::chrono::seconds(3));
  EXPECT_EQ(HttpCall::ParseTimeout("5u"), std::chrono::microseconds(5));
  EXPECT_EQ(HttpCall::ParseTimeout("0n"), nanoseconds(0));
  for (const char* none : {"", "1", "m", "1x", "-1S", "+1S", "1.5S", " 1S",
                           "123456789S", "99999999H"}) {
    EXPECT_EQ(HttpCall::ParseTimeout(none), Call::Clock::duration::max())
        << none;
  }
}

TEST(HttpCallTest, ACallPastItsDeadlineIsNotWanted) {
  FakeHttpStream late = StreamWith({{"grpc-timeout", "0n"}});
  FakeHttpStream timely = StreamWith({{"grpc-timeout", "1H"}});
  EXPECT_TRUE(absl::IsDeadlineExceeded(
      HttpCall(late, Priority::kInteractive).CheckWanted()));
  EXPECT_TRUE(HttpCall(timely, Priority::kInteractive).CheckWanted().ok());
}

TEST(HttpCallTest, TheClientSetsPriorityAndIds) {
  constexpr char kParent[] =
      "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  FakeHttpStream stream = StreamWith({{"lm-priority", "bulk"},
                                      {"x-request-id", "abc"},
                                      {"traceparent", kParent},
                                      {"authorization", "Bearer x"}});
  const HttpCall call(stream, Priority::kInteractive);
  EXPECT_EQ(call.priority(), Priority::kBulk);
  EXPECT_EQ(call.request_id(), "abc");
  EXPECT_EQ(call.trace_parent(), kParent);
  EXPECT_EQ(call.authorization(), "Bearer x");
  EXPECT_EQ(call.client(), "ipv4:127.0.0.1");
}

TEST(HttpCallTest, JoinsTheValuesOfAHeader) {
  FakeHttpStream stream = StreamWith(
      {{"tracestate", "a=1"}, {"x-request-id", "abc"}, {"tracestate", "b=2"}});
  const HttpCall call(stream, Priority::kBulk);
  EXPECT_EQ(call.JoinedHeader("tracestate"), "a=1,b=2");
  EXPECT_EQ(call.JoinedHeader("x-request-id"), "abc");
  EXPECT_EQ(call.JoinedHeader("traceparent"), "");
}

TEST(HttpCallTest, SaysForATraceWhatWasAskedAndAnswered) {
  FakeHttpStream stream = StreamWith({});
  const HttpCall call(stream, Priority::kBulk);
  const auto line = call.http_request_line(absl::OkStatus());
  EXPECT_EQ(line.method, stream.request().method);
  EXPECT_EQ(line.path, stream.request().path);
  EXPECT_EQ(line.code, 200);
  EXPECT_EQ(call.http_request_line(absl::NotFoundError("no")).code, 404);
}

TEST(HttpCallTest, ACallWithoutAnIdGetsOne) {
  FakeHttpStream stream = StreamWith({{"x-request-id", "two words"}});
  const HttpCall a(stream, Priority::kBulk), b(stream, Priority::kBulk);
  EXPECT_EQ(a.request_id().size(), 16u);
  EXPECT_NE(a.request_id(), b.request_id());
}

TEST(HttpCallTest, CancellingClosesTheConnection) {
  FakeHttpStream stream = StreamWith({});
  const HttpCall call(stream, Priority::kBulk);
  EXPECT_FALSE(call.IsCancelled());
  call.Cancel(CancelReason::kStalled);
  EXPECT_TRUE(call.IsCancelled());
}

}  // namespace
}  // namespace lmserve
