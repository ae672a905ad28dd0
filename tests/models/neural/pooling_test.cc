// SPDX-License-Identifier: Apache-2.0
#include "models/neural/pooling.h"

#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lmserve {
namespace {

using testing::ElementsAre;

std::vector<double> Pool(Pooling pooling, const std::vector<double>& states,
                         size_t steps) {
  std::vector<double> vector(3);
  PoolStates<double>(pooling, {states.data(), steps, 3}, /*forward=*/2,
                     vector.data());
  return vector;
}

// The first two units are forward, the third is backward.
TEST(PoolingTest, OfThreePositions) {
  const std::vector<double> states = {1,  -2, 3,  //
                                      4,  -5, 6,  //
                                      -2, -8, 0};
  EXPECT_THAT(Pool(Pooling::kMax, states, 3), ElementsAre(4, -2, 6));
  EXPECT_THAT(Pool(Pooling::kMean, states, 3), ElementsAre(1, -5, 3));
  EXPECT_THAT(Pool(Pooling::kLast, states, 3), ElementsAre(-2, -8, 3));
}

TEST(PoolingTest, OfOneAndOfNoPosition) {
  const std::vector<double> states = {1, -2, 3};
  for (Pooling pooling : {Pooling::kMax, Pooling::kMean, Pooling::kLast}) {
    EXPECT_THAT(Pool(pooling, states, 1), ElementsAre(1, -2, 3));
    EXPECT_THAT(Pool(pooling, {}, 0), ElementsAre(0, 0, 0));
    EXPECT_EQ(ParsePooling(PoolingName(pooling)).value(), pooling);
  }
}

TEST(PoolingTest, OtherNamesAreRefused) {
  EXPECT_EQ(ParsePooling("sum").status().message(),
            "pooling: expected max, mean or last, found 'sum'");
}

}  // namespace
}  // namespace lmserve
