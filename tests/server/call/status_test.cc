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
            absl::ResourceExhaustedError("texts: 4, the limit is 3"));
  EXPECT_EQ(CheckLimit("texts", UINT64_MAX, 0),
            absl::ResourceExhaustedError(
                "texts: 18446744073709551615, the limit is 0"));
}

}  // namespace
}  // namespace lmserve
