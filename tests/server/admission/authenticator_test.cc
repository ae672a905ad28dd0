// SPDX-License-Identifier: Apache-2.0
#include "server/admission/authenticator.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/testing/temporary_directory.h"

namespace lmserve {
namespace {

class AuthenticatorTest : public testing::Test {
 protected:
  void Write(const std::string& text) { std::ofstream(path_) << text; }

  std::string Error() const {
    return std::string(Authenticator::Create(path_).status().message());
  }

  const TemporaryDirectory directory_;
  const std::string path_ = directory_.File("tokens");
};

TEST_F(AuthenticatorTest, KnowsTheTokensAndRolesOfTheFile) {
  Write("# two tokens\n\nread  0123456789abcdef\n\tadmin fedcba9876543210  \n");
  const auto authenticator = Authenticator::Create(path_).value();
  const auto check = [&](const std::string& authorization, Role role) {
    return authenticator->Check(authorization, role);
  };
  EXPECT_TRUE(check("Bearer 0123456789abcdef", Role::kRead).ok());
  EXPECT_TRUE(check("Bearer fedcba9876543210", Role::kRead).ok());
  EXPECT_TRUE(check("Bearer fedcba9876543210", Role::kAdmin).ok());
  EXPECT_EQ(
      check("Bearer 0123456789abcdef", Role::kAdmin),
      absl::PermissionDeniedError("authorization: the call requires the role "
                                  "admin, the token has read"));
  for (const char* none : {"", "0123456789abcdef", "Basic 0123456789abcdef"}) {
    EXPECT_EQ(check(none, Role::kRead),
              absl::UnauthenticatedError(
                  "authorization: expected 'Bearer TOKEN', found none"));
  }
  for (const char* unknown :
       {"Bearer ", "Bearer 0123456789abcdeF", "Bearer 0123456789abcdef "}) {
    EXPECT_EQ(check(unknown, Role::kRead),
              absl::UnauthenticatedError("authorization: unknown token"));
  }
}

TEST_F(AuthenticatorTest, ReportsErrorsInTheFile) {
  EXPECT_EQ(Error(), absl::StrCat("tokens: ", path_, ": cannot be read"));
  Write("read 0123456789abcdef\nwrite 0123456789abcdef\n");
  EXPECT_EQ(Error(), absl::StrCat("tokens: ", path_,
                                  ", line 2: expected 'read TOKEN' or 'admin "
                                  "TOKEN'"));
  Write("admin short\n");
  EXPECT_EQ(Error(), absl::StrCat("tokens: ", path_,
                                  ", line 1: expected a token of 16 "
                                  "characters or more, found 5"));
}

TEST_F(AuthenticatorTest, ReadsTheFileAgainWhenItChanges) {
  Write("read 0123456789abcdef\n");
  const auto authenticator = Authenticator::Create(path_).value();
  const auto is_known = [&](const std::string& token) {
    return authenticator->Check("Bearer " + token, Role::kRead).ok();
  };
  const auto change = [&](const std::string& text) {
    Write(text);
    std::filesystem::last_write_time(
        path_,
        std::filesystem::file_time_type::clock::now() + std::chrono::hours(1));
  };
  change("read fedcba9876543210\n");
  while (!is_known("fedcba9876543210")) {
  }
  EXPECT_FALSE(is_known("0123456789abcdef"));
}

}  // namespace
}  // namespace lmserve
