// SPDX-License-Identifier: Apache-2.0
#include "server/call/status.h"

#include <cstdint>

#include "gtest/gtest.h"

namespace lmserve {
namespace {

TEST(InvalidFieldTest, NamesFieldAndProblem) {
  EXPECT_EQ(InvalidField("k", "too small"),
            absl::InvalidArgumentError("k: too small"));
}

TEST(CheckLimitTest, HoldsUpToTheLimit) {
  EXPECT_TRUE(CheckLimit("texts", 0, 0).ok());
  EXPECT_TRUE(CheckLimit("texts", 3, 3).ok());
  EXPECT_EQ(CheckLimit("texts", 4, 3),
            absl::ResourceExhaustedError("texts: expected at most 3, found 4"));
  EXPECT_EQ(CheckLimit("texts", UINT64_MAX, 0),
            absl::ResourceExhaustedError(
                "texts: expected at most 0, found 18446744073709551615"));
}

}  // namespace
}  // namespace lmserve
