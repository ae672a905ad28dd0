// SPDX-License-Identifier: Apache-2.0
//
// Tests what happens at the beginning and the end of every call. Uses a fake
// transport instead of gRPC.

#include "server/transport/call_interceptor.h"

#include <atomic>
#include <chrono>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/call/status.h"
#include "tests/server/captured_log.h"
#include "tests/server/telemetry/fake_span_sender.h"
#include "tests/server/transport/fake_transport_call.h"
#include "tests/testing/temporary_directory.h"

namespace lmserve {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr char kReadToken[] = "Bearer 0123456789abcdef";

class CallInterceptorTest : public testing::Test {
 protected:
  CallInterceptorTest() {
    std::ofstream(directory_.File("tokens")) << "read 0123456789abcdef\n";
    authenticator_ = Authenticator::Create(directory_.File("tokens")).value();
  }

  CallInterceptor MakeInterceptor(Authenticator* authenticator = nullptr) {
    return CallInterceptor(authenticator, shutdown_, limiter_, budgets_,
                           watchdog_, metrics_, log_, tracer_.get());
  }

  // Traces the calls of interceptors that are made after this, if their client
  // does not say whether.
  void Trace(double ratio) {
    tracer_ = std::make_unique<Tracer>(
        ratio, std::make_unique<SpanExporter>(
                   std::make_unique<FakeSpanSender>(sent_),
                   SpanExporterOptions{.linger = milliseconds(0)}));
  }

  // The status of a call that ends at once.
  static absl::Status Begin(const CallInterceptor& interceptor,
                            const TransportCall& call, Role needed) {
    CallScope scope(interceptor, call, "Score", needed);
    absl::Status status = scope.status();
    scope.Leave(status);
    return status;
  }

  // The value of a counter, or the count of a histogram, by the value of one of
  // its labels; 0 if it does not exist.
  double Metric(const std::string& name, const std::string& label) {
    double sum = 0;
    for (const auto& family : metrics_.registry()->Collect()) {
      if (family.name != name) continue;
      for (const prometheus::ClientMetric& metric : family.metric) {
        for (const auto& pair : metric.label) {
          if (pair.value != label) continue;
          sum += metric.counter.value +
                 static_cast<double>(metric.histogram.sample_count);
        }
      }
    }
    return sum;
  }

  const TemporaryDirectory directory_;
  const CapturedLog captured_;
  std::unique_ptr<Authenticator> authenticator_;
  ShutdownSignal shutdown_;
  CallLimiter limiter_{{.calls = 2, .calls_per_client = 1}};
  Budgets budgets_{Limits{.all_answer_bytes = 100}};
  WriteWatchdog watchdog_{milliseconds(5)};
  Metrics metrics_{"test"};
  const RequestLog log_{{}};
  SentSpans sent_;
  std::unique_ptr<Tracer> tracer_;
};

TEST_F(CallInterceptorTest, RefusesCallsWithoutToken) {
  const CallInterceptor interceptor = MakeInterceptor(authenticator_.get());
  EXPECT_EQ(Begin(interceptor, FakeTransportCall("a"), Role::kRead).code(),
            absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(Begin(interceptor, FakeTransportCall("a", kReadToken), Role::kRead),
            absl::OkStatus());
  EXPECT_EQ(Begin(interceptor, FakeTransportCall("a", kReadToken), Role::kAdmin)
                .code(),
            absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(Metric("lm_rejected_total", "unauthenticated"), 1);
  EXPECT_EQ(Metric("lm_rejected_total", "forbidden"), 1);
  EXPECT_EQ(limiter_.under_way(), 0u);
}

TEST_F(CallInterceptorTest, WithoutAuthenticatorNoCallNeedsAToken) {
  EXPECT_TRUE(Begin(MakeInterceptor(), FakeTransportCall(), Role::kAdmin).ok());
}

TEST_F(CallInterceptorTest, LimitsTheCallsUntilTheyLeave) {
  const CallInterceptor interceptor = MakeInterceptor();
  const FakeTransportCall a("a"), b("b"), c("c");
  CallScope first(interceptor, a, "Score");
  ASSERT_TRUE(first.status().ok());
  // A second call of the same client.
  EXPECT_TRUE(MayRetry(Begin(interceptor, a, Role::kRead)));
  CallScope second(interceptor, b, "Predict");
  ASSERT_TRUE(second.status().ok());
  // A third call at once.
  EXPECT_TRUE(MayRetry(Begin(interceptor, c, Role::kRead)));
  EXPECT_EQ(Metric("lm_rejected_total", "overload"), 2);
  first.Leave(absl::OkStatus());
  EXPECT_TRUE(Begin(interceptor, a, Role::kRead).ok());
  EXPECT_EQ(limiter_.under_way(), 1u);
  second.Leave(absl::OkStatus());
  EXPECT_EQ(limiter_.under_way(), 0u);
}

TEST_F(CallInterceptorTest, CountsCallsByMethodAndCode) {
  const CallInterceptor interceptor = MakeInterceptor();
  FakeTransportCall call;
  CallScope scope(interceptor, call, "Rerank");
  EXPECT_EQ(Metric("grpc_server_call_started_total", "Rerank"), 1);
  EXPECT_EQ(Metric("grpc_server_call_duration_seconds", "Rerank"), 0);
  std::this_thread::sleep_for(milliseconds(2));
  EXPECT_GE(scope.seconds(), 0.002);
  call.compute_seconds = 0.001;
  scope.Leave(Call::Cancelled());
  EXPECT_EQ(Metric("grpc_server_call_duration_seconds", "Rerank"), 1);
  EXPECT_EQ(Metric("grpc_server_call_duration_seconds", "CANCELLED"), 1);
  EXPECT_EQ(Metric("lm_cancelled_total", "running"), 1);
}

TEST_F(CallInterceptorTest, LogsCallsWithClientAndError) {
  const CallInterceptor interceptor = MakeInterceptor();
  const FakeTransportCall call("192.0.2.1");
  CallScope scope(interceptor, call, "Predict");
  EXPECT_THAT(captured_.text(), IsEmpty());
  scope.Leave(absl::InternalError("a bug"));
  EXPECT_THAT(captured_.text(),
              AllOf(HasSubstr("Predict"), HasSubstr("192.0.2.1"),
                    HasSubstr("INTERNAL"), HasSubstr("a bug")));
}

TEST_F(CallInterceptorTest, LogsWhatIdentifiesTheCall) {
  const CallInterceptor interceptor = MakeInterceptor();
  FakeTransportCall call("192.0.2.1");
  const std::string parent =
      "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  call.headers = {{"x-request-id", "a-1"}, {"traceparent", parent}};
  CallScope(interceptor, call, "Predict").Leave(absl::OkStatus());
  EXPECT_THAT(captured_.text(),
              HasSubstr("Predict from 192.0.2.1 (x-request-id a-1, "
                        "traceparent " +
                        parent + "): OK in"));
}

TEST_F(CallInterceptorTest, ATracedCallHasItsIdsInTheLog) {
  Trace(0);
  const CallInterceptor interceptor = MakeInterceptor();
  FakeTransportCall call("192.0.2.1");
  call.headers = {{"traceparent",
                   "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}};
  CallScope scope(interceptor, call, "Predict");
  EXPECT_NE(call.trace(), nullptr);
  scope.Leave(absl::UnavailableError("no"));
  EXPECT_EQ(call.trace(), nullptr);
  const Span span = sent_.WaitForBatches(1)[0][0];
  EXPECT_EQ(span.name, "lm.v1.LanguageModelService/Predict");
  EXPECT_EQ(ToHex(span.parent_id), "b7ad6b7169203331");
  EXPECT_EQ(span.error, "no");
  EXPECT_THAT(captured_.text(),
              HasSubstr("trace 0af7651916cd43dd8448eb211c80319c, span " +
                        ToHex(span.span_id) + "): UNAVAILABLE in"));
}

TEST_F(CallInterceptorTest, RefusedCallsAreTracedAsWell) {
  Trace(1);
  const CallInterceptor interceptor = MakeInterceptor(authenticator_.get());
  EXPECT_FALSE(Begin(interceptor, FakeTransportCall("a"), Role::kRead).ok());
  EXPECT_EQ(sent_.WaitForBatches(1)[0].size(), 1u);
}

TEST_F(CallInterceptorTest, ACallThatIsNotTracedHasNoIds) {
  Trace(0);
  const CallInterceptor interceptor = MakeInterceptor();
  const FakeTransportCall call("192.0.2.1");
  CallScope scope(interceptor, call, "Predict");
  EXPECT_EQ(call.trace(), nullptr);
  scope.Leave(absl::OkStatus());
  EXPECT_THAT(captured_.text(), HasSubstr("Predict from 192.0.2.1: OK in"));
}

TEST_F(CallInterceptorTest, LogsTheModelAndTheNameOfTheToken) {
  std::ofstream(directory_.File("named")) << "read 0123456789abcdef search\n";
  const auto authenticator =
      Authenticator::Create(directory_.File("named")).value();
  const CallInterceptor interceptor = MakeInterceptor(authenticator.get());
  FakeTransportCall call("192.0.2.1");
  call.headers = {{"authorization", kReadToken}};
  CallScope scope(interceptor, call, "Predict");
  call.model_name = "en";
  call.model_version = 3;
  scope.Leave(absl::OkStatus());
  EXPECT_THAT(captured_.text(),
              HasSubstr("Predict of en@3 from 192.0.2.1 (token search): OK"));
}

TEST_F(CallInterceptorTest, LogsTheNameThatIsMissing) {
  const CallInterceptor interceptor = MakeInterceptor();
  FakeTransportCall call("192.0.2.1");
  CallScope scope(interceptor, call, "Predict");
  call.model_name = "none@stable";
  scope.Leave(absl::NotFoundError("no such model"));
  EXPECT_THAT(captured_.text(),
              HasSubstr("Predict of none@stable from 192.0.2.1: NOT_FOUND"));
}

TEST_F(CallInterceptorTest, IdsOfAnotherFormAreIgnored) {
  FakeTransportCall call;
  const auto id = [&](const std::string& text) {
    call.headers["x-request-id"] = text;
    return std::string(call.request_id());
  };
  const std::string longest(128, 'x');
  for (const std::string& good : {std::string("Root=1-67891233;Self=/~"),
                                  std::string("{\"a\"}"), longest}) {
    EXPECT_EQ(id(good), good);
  }
  for (const std::string& bad :
       {std::string(""), longest + "x", std::string("a b"), std::string("a\nb"),
        std::string("\x1b[31m"), std::string("caf\xc3\xa9"),
        std::string("a\0b", 3)}) {
    EXPECT_EQ(id(bad), "");
  }
  const auto parent = [&](const std::string& text) {
    call.headers["traceparent"] = text;
    return std::string(call.trace_parent());
  };
  const std::string ids = "-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-";
  for (const std::string& good :
       {"00" + ids + "01", "cc" + ids + "01", "cc" + ids + "01-what-comes"}) {
    EXPECT_EQ(parent(good), good);
  }
  for (const std::string& bad :
       {std::string(""), absl::StrCat("00", ids),
        absl::StrCat("00", ids, "01-more"), absl::StrCat("ff", ids, "01"),
        absl::StrCat("00", ids, "0G"), absl::StrCat("cc", ids, "01.more"),
        absl::StrCat("cc", ids, "01-a b"),
        std::string("00-00000000000000000000000000000000-b7ad6b7169203331-01"),
        std::string("00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01"),
        std::string("00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01"),
        absl::StrCat("cc", ids, "01-", longest)}) {
    EXPECT_EQ(parent(bad), "") << bad;
  }
}

TEST_F(CallInterceptorTest, TheLogSaysWhyTheServerCancelled) {
  const CallInterceptor interceptor = MakeInterceptor();
  for (const auto& [reason, text] :
       {std::pair{CancelReason::kNone, "or its connection has closed"},
        std::pair{CancelReason::kStalled, "the client did not read in time"},
        std::pair{CancelReason::kRevoked, "the token of the client was"}}) {
    const CapturedLog log;
    FakeTransportCall call;
    CallScope scope(interceptor, call, "Generate");
    if (reason != CancelReason::kNone) call.Cancel(reason);
    scope.Leave(Call::Cancelled());
    EXPECT_THAT(log.text(), HasSubstr(text));
  }
}

TEST_F(CallInterceptorTest, WatchesTheTokensOfStreams) {
  authenticator_ =
      Authenticator::Create(directory_.File("tokens"), milliseconds(1)).value();
  const CallInterceptor interceptor = MakeInterceptor(authenticator_.get());
  const FakeTransportCall call("a", kReadToken);
  CallScope scope(interceptor, call, "Decode");
  std::atomic<bool> told = false;
  scope.WatchToken([&] { told = true; });
  EXPECT_TRUE(scope.CheckContinues().ok());
  std::ofstream(directory_.File("tokens")) << "read fedcba9876543210\n";
  while (!told) std::this_thread::sleep_for(milliseconds(1));
  EXPECT_EQ(scope.CheckContinues().code(), absl::StatusCode::kUnauthenticated);
  scope.Leave(scope.CheckContinues());
}

TEST_F(CallInterceptorTest, CallsEndWhenTheServerMust) {
  const CallInterceptor interceptor = MakeInterceptor();
  const FakeTransportCall call;
  CallScope scope(interceptor, call, "Decode");
  int told = 0;
  scope.WatchShutdown([&] { ++told; });
  EXPECT_TRUE(scope.CheckContinues().ok());
  EXPECT_TRUE(call.CheckWanted().ok());
  shutdown_.Raise();
  EXPECT_EQ(told, 1);
  EXPECT_EQ(scope.CheckContinues(), ShuttingDown());
  EXPECT_EQ(call.CheckWanted(), ShuttingDown());
  scope.Leave(ShuttingDown());
  shutdown_.Raise();
  EXPECT_EQ(told, 1);
  EXPECT_EQ(Metric("lm_rejected_total", "shutting_down"), 1);
}

TEST_F(CallInterceptorTest, WritesCountAgainstTheBudgetOfAnswers) {
  const CallInterceptor interceptor = MakeInterceptor();
  const FakeTransportCall call;
  std::optional<PendingWrite> first(std::in_place, interceptor, call, 60);
  EXPECT_TRUE(first->status().ok());
  EXPECT_EQ(budgets_.answer_bytes.taken(), 60u);
  EXPECT_TRUE(MayRetry(PendingWrite(interceptor, call, 60).status()));
  first.reset();
  EXPECT_EQ(budgets_.answer_bytes.taken(), 0u);
  EXPECT_TRUE(PendingWrite(interceptor, call, 60).status().ok());
}

TEST_F(CallInterceptorTest, TheWatchdogCancelsCallsWhoseWritesStall) {
  const CallInterceptor interceptor = MakeInterceptor();
  const FakeTransportCall idle, stalled;
  { const PendingWrite write(interceptor, idle, 1); }
  const PendingWrite write(interceptor, stalled, 1);
  while (!stalled.IsCancelled()) {
    std::this_thread::sleep_for(milliseconds(1));
  }
  EXPECT_FALSE(idle.IsCancelled());
}

}  // namespace
}  // namespace lmserve
