// SPDX-License-Identifier: Apache-2.0
//
// Tests what happens at the beginning and the end of every call. Uses a fake
// transport instead of gRPC.

#include "server/transport/call_interceptor.h"

#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <chrono>
#include <fstream>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/call/status.h"
#include "tests/server/transport/fake_transport_call.h"
#include "tests/testing/temporary_directory.h"

namespace lmserve {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr char kReadToken[] = "Bearer 0123456789abcdef";

// The log of this test, in place of the standard error.
class CapturedLog {
 public:
  CapturedLog() : before_(spdlog::default_logger()) {
    auto logger = std::make_shared<spdlog::logger>(
        "test", std::make_shared<spdlog::sinks::ostream_sink_mt>(text_));
    logger->set_level(spdlog::level::debug);
    spdlog::set_default_logger(std::move(logger));
  }
  ~CapturedLog() { spdlog::set_default_logger(before_); }

  std::string text() const { return text_.str(); }

 private:
  const std::shared_ptr<spdlog::logger> before_;
  std::ostringstream text_;
};

class CallInterceptorTest : public testing::Test {
 protected:
  CallInterceptorTest() {
    std::ofstream(directory_.File("tokens")) << "read 0123456789abcdef\n";
    authenticator_ = Authenticator::Create(directory_.File("tokens")).value();
  }

  CallInterceptor MakeInterceptor(Authenticator* authenticator = nullptr) {
    return CallInterceptor(authenticator, limiter_, budgets_, watchdog_,
                           metrics_, log_);
  }

  // The status of a call that ends at once.
  static absl::Status Begin(const CallInterceptor& interceptor,
                            const TransportCall& call, Role needed) {
    CallScope scope(interceptor, call, "Score", needed);
    const absl::Status status = scope.status();
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
  CallLimiter limiter_{{.calls = 2, .calls_per_client = 1}};
  Budgets budgets_{Limits{.all_answer_bytes = 100}};
  WriteWatchdog watchdog_{milliseconds(5)};
  Metrics metrics_{"test"};
  const RequestLog log_{{}};
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
  scope.Leave(absl::CancelledError("the client has cancelled"));
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
