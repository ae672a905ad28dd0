#include "server/call_gate.h"

#include <gtest/gtest.h>

#include <thread>
#include <utility>
#include <vector>

namespace lmserve {
namespace {

using std::chrono::milliseconds;

TEST(CallGateTest, OpenUntilClosed) {
  CallGate gate;
  EXPECT_NE(gate.Enter(), nullptr);
  EXPECT_TRUE(gate.CloseAndWait(milliseconds(0)));
  EXPECT_EQ(gate.Enter(), nullptr);
}

TEST(CallGateTest, TellsOfCallsLeftOver) {
  CallGate gate;
  CallGate::Pass first = gate.Enter();
  CallGate::Pass second = std::move(first);
  EXPECT_FALSE(gate.CloseAndWait(milliseconds(1)));
  second.reset();
  EXPECT_TRUE(gate.CloseAndWait(milliseconds(0)));
}

TEST(CallGateTest, WaitsForAllCallsUnderWay) {
  constexpr int kCalls = 8;
  CallGate gate;
  std::vector<int> done(kCalls);
  std::vector<std::thread> calls;
  for (int i = 0; i < kCalls; ++i) {
    calls.emplace_back([&done, i, pass = gate.Enter()] { done[i] = 1; });
  }
  EXPECT_TRUE(gate.CloseAndWait(std::chrono::minutes(1)));
  EXPECT_EQ(done, std::vector<int>(kCalls, 1));
  for (std::thread& call : calls) call.join();
}

}  // namespace
}  // namespace lmserve
