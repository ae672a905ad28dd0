// SPDX-License-Identifier: Apache-2.0
#include "client/command.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/fake_service.h"

namespace lmserve {
namespace {

using testing::HasSubstr;

absl::StatusOr<std::string> Choose(const std::vector<std::string>& models,
                                   const std::string& name) {
  FakeServer server({.models = models});
  const Client client({.address = server.address()});
  return ChooseModel(client, name);
}

TEST(ChooseModelTest, ReturnsTheGivenName) {
  EXPECT_EQ(Choose({"en", "de"}, "fr@2").value(), "fr@2");
}

TEST(ChooseModelTest, ReturnsTheOnlyModel) {
  EXPECT_EQ(Choose({"en"}, "").value(), "en");
}

TEST(ChooseModelTest, NamesTheModelsIfThereAreSeveral) {
  const absl::Status status = Choose({"en", "de"}, "").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("2 models"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("en, de"));
}

TEST(ChooseModelTest, FailsWithoutModels) {
  const absl::Status status = Choose({}, "").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("serves no model"));
}

}  // namespace
}  // namespace lmserve
