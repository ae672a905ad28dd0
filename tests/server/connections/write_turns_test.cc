// SPDX-License-Identifier: Apache-2.0
#include "server/connections/write_turns.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lmserve {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class WriteTurnsTest : public testing::Test {
 protected:
  bool Begin(const std::string& name, bool is_wanted = true) {
    return turns_.Begin([this, name, is_wanted] {
      begun_.push_back(name);
      return is_wanted;
    });
  }

  WriteTurns turns_{2};
  std::vector<std::string> begun_;  // later
};

TEST_F(WriteTurnsTest, BeginInTheOrderInWhichTheyAreAskedFor) {
  EXPECT_TRUE(Begin("a"));
  EXPECT_TRUE(Begin("b"));
  EXPECT_FALSE(Begin("c"));
  EXPECT_FALSE(Begin("d"));
  EXPECT_THAT(begun_, IsEmpty());
  turns_.End();
  EXPECT_THAT(begun_, ElementsAre("c"));
  turns_.End();
  EXPECT_THAT(begun_, ElementsAre("c", "d"));
  turns_.End();
  EXPECT_TRUE(Begin("e"));
  EXPECT_FALSE(Begin("f"));
}

TEST_F(WriteTurnsTest, OneThatIsNoLongerWantedIsSkipped) {
  EXPECT_TRUE(Begin("a"));
  EXPECT_TRUE(Begin("b"));
  EXPECT_FALSE(Begin("c", /*is_wanted=*/false));
  EXPECT_FALSE(Begin("d"));
  turns_.End();
  EXPECT_THAT(begun_, ElementsAre("c", "d"));
  EXPECT_FALSE(Begin("e", /*is_wanted=*/false));
  turns_.End();
  EXPECT_TRUE(Begin("f"));
}

}  // namespace
}  // namespace lmserve
