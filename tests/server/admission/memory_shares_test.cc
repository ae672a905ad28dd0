// SPDX-License-Identifier: Apache-2.0
#include "server/admission/memory_shares.h"

#include <cstdint>
#include <limits>

#include "gtest/gtest.h"

namespace lmserve {
namespace {

Limits OpenLimits() {
  return {.all_request_bytes = 0, .all_answer_bytes = 0, .all_state_bytes = 0};
}

TEST(MemorySharesTest, BudgetsAreSharesOfTheMemory) {
  Limits limits = OpenLimits();
  ShareMemory(uint64_t{16} << 30, &limits);
  EXPECT_EQ(limits.all_request_bytes, uint64_t{1} << 30);
  EXPECT_EQ(limits.all_answer_bytes, uint64_t{1} << 30);
  EXPECT_EQ(limits.all_state_bytes, uint64_t{4} << 30);
  EXPECT_EQ(limits.decode_bytes, Limits().decode_bytes);
}

TEST(MemorySharesTest, WhatIsGivenStays) {
  Limits limits = OpenLimits();
  limits.all_answer_bytes = 7;
  ShareMemory(uint64_t{16} << 30, &limits);
  EXPECT_EQ(limits.all_answer_bytes, 7u);
  EXPECT_EQ(limits.all_request_bytes, uint64_t{1} << 30);
}

// A small container still answers a message of the largest size, and a stream
// has no more states than all streams together.
TEST(MemorySharesTest, LittleMemory) {
  Limits limits = OpenLimits();
  ShareMemory(64 << 20, &limits);
  EXPECT_EQ(limits.all_request_bytes, uint64_t{2} * limits.message_bytes);
  EXPECT_EQ(limits.all_state_bytes, uint64_t{16} << 20);
  EXPECT_EQ(limits.decode_bytes, uint64_t{16} << 20);
}

TEST(MemorySharesTest, UnknownMemory) {
  Limits limits = OpenLimits();
  ShareMemory(std::numeric_limits<uint64_t>::max(), &limits);
  EXPECT_EQ(limits.all_state_bytes, uint64_t{256} << 30);
}

}  // namespace
}  // namespace lmserve
