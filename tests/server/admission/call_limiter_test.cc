#include "server/admission/call_limiter.h"

#include <gtest/gtest.h>

#include <thread>
#include <utility>
#include <vector>

#include "server/call/status.h"

namespace lmserve {
namespace {

using std::chrono::milliseconds;

TEST(CallGateTest, OpenUntilClosed) {
  CallGate gate;
  EXPECT_TRUE(gate.Enter("a").ok());
  EXPECT_TRUE(gate.CloseAndWait(milliseconds(0)));
  EXPECT_EQ(gate.Enter("a").status(),
            absl::UnavailableError("the server is shutting down"));
}

TEST(CallGateTest, TellsOfCallsLeftOver) {
  CallGate gate;
  CallGate::Pass first = gate.Enter("a").value();
  CallGate::Pass second = std::move(first);
  EXPECT_FALSE(gate.CloseAndWait(milliseconds(1)));
  second.reset();
  EXPECT_TRUE(gate.CloseAndWait(milliseconds(0)));
}

TEST(CallGateTest, NoMoreThanItsLimit) {
  CallGate gate({.calls = 2});
  CallGate::Pass first = gate.Enter("a").value();
  const CallGate::Pass second = gate.Enter("b").value();
  EXPECT_EQ(gate.under_way(), 2u);
  const absl::Status refused = gate.Enter("c").status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(refused.message(), "calls: 2 are under way, the limit");
  EXPECT_TRUE(MayRetry(refused));
  first.reset();
  EXPECT_TRUE(gate.Enter("c").ok());
}

TEST(CallGateTest, NoMoreThanTheLimitOfAClient) {
  CallGate gate({.calls_per_client = 1});
  CallGate::Pass first = gate.Enter("a").value();
  EXPECT_EQ(gate.Enter("a").status().message(),
            "calls of this client: 1 are under way, the limit");
  EXPECT_TRUE(gate.Enter("b").ok());
  first.reset();
  EXPECT_TRUE(gate.Enter("a").ok());
}

TEST(CallGateTest, WaitsForAllCallsUnderWay) {
  constexpr int kCalls = 8;
  CallGate gate;
  std::vector<int> done(kCalls);
  std::vector<std::thread> calls;
  for (int i = 0; i < kCalls; ++i) {
    calls.emplace_back(
        [&done, i, pass = gate.Enter("a").value()] { done[i] = 1; });
  }
  EXPECT_TRUE(gate.CloseAndWait(std::chrono::minutes(1)));
  EXPECT_EQ(done, std::vector<int>(kCalls, 1));
  for (std::thread& call : calls) call.join();
}

}  // namespace
}  // namespace lmserve
