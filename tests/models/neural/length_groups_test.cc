// SPDX-License-Identifier: Apache-2.0
#include "models/neural/length_groups.h"

#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lmserve {
namespace {

using testing::ElementsAre;
using Group = std::vector<size_t>;

std::vector<Group> Groups(const std::vector<size_t>& lengths) {
  std::vector<Group> groups;
  ForEachLengthGroup(lengths, [&](absl::Span<const size_t> group) {
    groups.emplace_back(group.begin(), group.end());
  });
  return groups;
}

TEST(LengthGroupsTest, GroupsHaveOneLengthTheShortestFirst) {
  EXPECT_THAT(Groups({3, 0, 1, 3, 0}),
              ElementsAre(Group{1, 4}, Group{2}, Group{0, 3}));
  EXPECT_TRUE(Groups({}).empty());
}

TEST(LengthGroupsTest, GroupsAreLimited) {
  EXPECT_EQ(Groups(std::vector<size_t>(2049, 1)).size(), 2u);
  EXPECT_THAT(Groups({1500, 1500}), ElementsAre(Group{0}, Group{1}));
  EXPECT_THAT(Groups({5000, 5000}), ElementsAre(Group{0}, Group{1}));
}

}  // namespace
}  // namespace lmserve
