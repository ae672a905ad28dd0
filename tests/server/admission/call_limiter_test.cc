// SPDX-License-Identifier: Apache-2.0
#include "server/admission/call_limiter.h"

#include <gtest/gtest.h>

#include <thread>
#include <utility>
#include <vector>

#include "server/call/status.h"

namespace lmserve {
namespace {

using std::chrono::milliseconds;

TEST(CallLimiterTest, OpenUntilClosed) {
  CallLimiter limiter;
  EXPECT_TRUE(limiter.Enter("a").ok());
  EXPECT_TRUE(limiter.CloseAndWait(milliseconds(0)));
  EXPECT_EQ(limiter.Enter("a").status(),
            absl::UnavailableError("the server is shutting down; ask again"));
}

TEST(CallLimiterTest, ReportsCallsThatHaveNotEnded) {
  CallLimiter limiter;
  CallLimiter::Permit first = limiter.Enter("a").value();
  CallLimiter::Permit second = std::move(first);
  EXPECT_FALSE(limiter.CloseAndWait(milliseconds(1)));
  second.reset();
  EXPECT_TRUE(limiter.CloseAndWait(milliseconds(0)));
}

TEST(CallLimiterTest, RefusesCallsAboveItsLimit) {
  CallLimiter limiter({.calls = 2});
  CallLimiter::Permit first = limiter.Enter("a").value();
  const CallLimiter::Permit second = limiter.Enter("b").value();
  EXPECT_EQ(limiter.under_way(), 2u);
  const absl::Status refused = limiter.Enter("c").status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(refused.message(),
            "too many calls at once: 2 of 2 allowed (--max-calls)");
  EXPECT_TRUE(MayRetry(refused));
  first.reset();
  EXPECT_TRUE(limiter.Enter("c").ok());
}

TEST(CallLimiterTest, RefusesCallsAboveTheLimitOfAClient) {
  CallLimiter limiter({.calls_per_client = 1});
  CallLimiter::Permit first = limiter.Enter("a").value();
  EXPECT_EQ(limiter.Enter("a").status().message(),
            "too many calls of this client at once: 1 of 1 allowed "
            "(--max-calls-per-client)");
  EXPECT_TRUE(limiter.Enter("b").ok());
  first.reset();
  EXPECT_TRUE(limiter.Enter("a").ok());
}

TEST(CallLimiterTest, WaitsForAllRunningCalls) {
  constexpr int kCalls = 8;
  CallLimiter limiter;
  std::vector<int> done(kCalls);
  std::vector<std::thread> calls;
  calls.reserve(kCalls);
  for (int i = 0; i < kCalls; ++i) {
    calls.emplace_back(
        [&done, i, permit = limiter.Enter("a").value()] { done[i] = 1; });
  }
  EXPECT_TRUE(limiter.CloseAndWait(std::chrono::minutes(1)));
  EXPECT_EQ(done, std::vector<int>(kCalls, 1));
  for (std::thread& call : calls) call.join();
}

}  // namespace
}  // namespace lmserve
