// SPDX-License-Identifier: Apache-2.0
#include "server/admission/budget.h"

#include <gtest/gtest.h>

#include <optional>
#include <thread>
#include <vector>

#include "server/call/status.h"

namespace lmserve {
namespace {

TEST(BudgetTest, ReservationsAreReturned) {
  Budget budget(10);
  std::optional<Budget::Reservation> first(budget);
  Budget::Reservation second(budget);
  EXPECT_TRUE(first->Resize("words", 7).ok());
  EXPECT_TRUE(second.Resize("words", 3).ok());
  EXPECT_EQ(budget.taken(), 10u);
  EXPECT_TRUE(first->Resize("words", 4).ok());
  EXPECT_TRUE(second.Resize("words", 6).ok());
  first.reset();
  EXPECT_EQ(budget.taken(), 6u);
}

TEST(BudgetTest, RefusesMoreThanIsLeft) {
  Budget budget(10);
  Budget::Reservation first(budget), second(budget);
  ASSERT_TRUE(first.Resize("words", 7).ok());
  ASSERT_TRUE(second.Resize("words", 1).ok());
  const absl::Status refused = second.Resize("words", 4);
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(refused.message(),
            "words: 4 requested, 7 of 10 used by other calls");
  EXPECT_TRUE(MayRetry(refused));
  EXPECT_EQ(budget.taken(), 8u);
  const absl::Status never = first.Resize("words", ~uint64_t{0});
  EXPECT_EQ(never.message(),
            "words: expected at most 10, found 18446744073709551615");
  EXPECT_FALSE(MayRetry(never));
}

TEST(BudgetTest, ManyThreadsNeverExceedTheLimit) {
  constexpr uint64_t kLimit = 10;
  Budget budget(kLimit);
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 1000; ++i) {
        Budget::Reservation reservation(budget);
        (void)reservation.Resize("words", 1 + i % kLimit);
        EXPECT_LE(budget.taken(), kLimit);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(budget.taken(), 0u);
}

}  // namespace
}  // namespace lmserve
