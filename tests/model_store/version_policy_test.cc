// SPDX-License-Identifier: Apache-2.0
#include "model_store/version_policy.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lmserve {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;

TEST(VersionPolicyTest, ANumberIsOfTheNewest) {
  EXPECT_EQ(ParseVersionPolicy("3")->newest, 3u);
  EXPECT_THAT(ParseVersionPolicy("3")->listed, IsEmpty());
}

TEST(VersionPolicyTest, All) {
  EXPECT_EQ(ParseVersionPolicy("all")->newest, VersionPolicy::kAll);
}

TEST(VersionPolicyTest, ListedOnes) {
  EXPECT_THAT(
      ParseVersionPolicy("en@3,de@1,en@1")->listed,
      ElementsAre(Pair("de", ElementsAre(1)), Pair("en", ElementsAre(1, 3))));
}

TEST(VersionPolicyTest, OtherTextIsRefused) {
  for (absl::string_view text :
       {"", "0", "-1", "en", "en@", "en@stable", "en@1,", "3,en@1"}) {
    const auto policy = ParseVersionPolicy(text);
    EXPECT_TRUE(absl::IsInvalidArgument(policy.status())) << text;
    EXPECT_THAT(policy.status().ToString(), HasSubstr("NAME@VERSION"));
  }
}

}  // namespace
}  // namespace lmserve
