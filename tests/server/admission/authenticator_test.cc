// SPDX-License-Identifier: Apache-2.0
#include "server/admission/authenticator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "tests/server/captured_log.h"
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

TEST_F(AuthenticatorTest, TokensMayHaveNames) {
  Write("read 0123456789abcdef search\nadmin fedcba9876543210\n");
  const auto authenticator = Authenticator::Create(path_).value();
  EXPECT_EQ(authenticator->NameOf("Bearer 0123456789abcdef"), "search");
  EXPECT_EQ(authenticator->NameOf("Bearer fedcba9876543210"), "");
  EXPECT_EQ(authenticator->NameOf("Bearer of nothing"), "");
  EXPECT_EQ(authenticator->NameOf(""), "");
}

TEST_F(AuthenticatorTest, ReportsErrorsInTheFile) {
  EXPECT_EQ(Error(), absl::StrCat("tokens: ", path_,
                                  ": cannot open the file: No such file or "
                                  "directory"));
  Write("read 0123456789abcdef\nwrite 0123456789abcdef\n");
  EXPECT_EQ(Error(), absl::StrCat("tokens: ", path_,
                                  ", line 2: expected 'read TOKEN' or 'admin "
                                  "TOKEN', and perhaps a name without "
                                  "white space"));
  Write("admin short\n");
  EXPECT_EQ(Error(), absl::StrCat("tokens: ", path_,
                                  ", line 1: expected a token of 16 "
                                  "characters or more, found 5"));
}

// The tests of changes check the file every millisecond.
class TokenChangesTest : public AuthenticatorTest {
 protected:
  void Start(const std::string& text) {
    Write(text);
    authenticator_ =
        Authenticator::Create(path_, std::chrono::milliseconds(1)).value();
  }

  bool IsKnown(const std::string& token) const {
    return authenticator_->Check("Bearer " + token, Role::kRead).ok();
  }

  void WaitUntilKnown(const std::string& token) const {
    while (!IsKnown(token)) std::this_thread::sleep_for(kCheck);
  }

  // Waits until every change would have been noticed.
  static void WaitForChecks() {
    std::this_thread::sleep_for(kCheck * (5 * Authenticator::kUnendedChecks));
  }

  static constexpr std::chrono::milliseconds kCheck{1};

  const CapturedLog log_;
  std::unique_ptr<Authenticator> authenticator_;
};

TEST_F(TokenChangesTest, TheFileIsReadAgain) {
  Start("read 0123456789abcdef\n");
  Write("read fedcba9876543210\n");
  WaitUntilKnown("fedcba9876543210");
  EXPECT_FALSE(IsKnown("0123456789abcdef"));
}

// The same length and the same time of modification, in place and as another
// file.
TEST_F(TokenChangesTest, NeitherTimeNorSizeHidesAChange) {
  Start("read 0123456789abcdef\n");
  const auto written = std::filesystem::last_write_time(path_);
  Write("read fedcba9876543210\n");
  std::filesystem::last_write_time(path_, written);
  WaitUntilKnown("fedcba9876543210");
  const std::string other = directory_.File("other");
  std::ofstream(other) << "read 00112233445566aa\n";
  std::filesystem::last_write_time(other, written);
  std::filesystem::rename(other, path_);
  WaitUntilKnown("00112233445566aa");
}

TEST_F(TokenChangesTest, AFileWithoutTokensIsNotBelieved) {
  Start("read 0123456789abcdef\n");
  for (const char* text : {"", "# a comment\n", "read 0123\n", "read"}) {
    Write(text);
    WaitForChecks();
    EXPECT_TRUE(IsKnown("0123456789abcdef")) << text;
  }
  std::filesystem::remove(path_);
  WaitForChecks();
  EXPECT_TRUE(IsKnown("0123456789abcdef"));
  Write("read fedcba9876543210\n");
  WaitUntilKnown("fedcba9876543210");
}

// Half of a token may have been written, and the rest may come later.
TEST_F(TokenChangesTest, ALineWithoutEndIsBelievedOnlyAfterMoreChecks) {
  constexpr std::chrono::milliseconds kSlowCheck(40);
  Write("read 0123456789abcdef\n");
  authenticator_ = Authenticator::Create(path_, kSlowCheck).value();
  Write("read fedcba9876543210");
  std::this_thread::sleep_for(4 * kSlowCheck);
  EXPECT_TRUE(IsKnown("0123456789abcdef"));
  Write("read fedcba98765432100123");
  WaitUntilKnown("fedcba98765432100123");
  EXPECT_FALSE(IsKnown("fedcba9876543210"));
}

// Opening a FIFO waits for a writer, and reading a device may never end.
TEST_F(TokenChangesTest, OtherKindsOfFilesAreRefusedWithoutWaiting) {
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  const std::string kind = absl::StrCat(
      "tokens: ", path_, ": expected a regular file, found something else");
  EXPECT_EQ(Error(), kind);
  std::filesystem::remove(path_);
  Start("read 0123456789abcdef\n");
  std::filesystem::remove(path_);
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  WaitForChecks();
  EXPECT_TRUE(IsKnown("0123456789abcdef"));
  std::filesystem::remove(path_);
  std::filesystem::create_symlink("/dev/zero", path_);
  EXPECT_EQ(Error(), kind);
  WaitForChecks();
  EXPECT_TRUE(IsKnown("0123456789abcdef"));
}

TEST_F(TokenChangesTest, AHugeFileIsRefused) {
  Start("read 0123456789abcdef\n");
  std::filesystem::resize_file(path_, uint64_t{1} << 40);
  EXPECT_EQ(Error(),
            absl::StrCat("tokens: ", path_,
                         ": size: expected at most 1048576 bytes, found ",
                         uint64_t{1} << 40));
  WaitForChecks();
  EXPECT_TRUE(IsKnown("0123456789abcdef"));
}

TEST_F(TokenChangesTest, TheLogSaysOnceThatTheOldTokensStay) {
  Start("read 0123456789abcdef\n");
  Write("");
  WaitForChecks();
  const auto lines = [&] {
    const std::string text = log_.text();
    size_t count = 0;
    for (size_t at = 0; (at = text.find("stay valid", at)) != text.npos; ++at) {
      ++count;
    }
    return count;
  };
  EXPECT_EQ(lines(), 1u) << log_.text();
  EXPECT_THAT(log_.text(), testing::HasSubstr("expected a token, found none"));
  Write("read 0123456789abcdef\n");
  WaitForChecks();
  Write("");
  WaitForChecks();
  EXPECT_EQ(lines(), 2u) << log_.text();
}

// A metric, by which an alert can last as long as the error does.
TEST_F(TokenChangesTest, EveryCheckThatFindsAnErrorCounts) {
  Start("read 0123456789abcdef\n");
  const auto start = std::chrono::system_clock::now();
  EXPECT_EQ(authenticator_->failures(), 0u);
  Write("read 0123\n");
  while (authenticator_->failures() < 3) std::this_thread::sleep_for(kCheck);
  std::filesystem::remove(path_);
  const uint64_t before = authenticator_->failures();
  while (authenticator_->failures() < before + 3) {
    std::this_thread::sleep_for(kCheck);
  }
  Write("read 0123456789abcdef\n");
  WaitForChecks();
  const uint64_t last = authenticator_->failures();
  WaitForChecks();
  EXPECT_EQ(authenticator_->failures(), last);
  EXPECT_GE(authenticator_->checked(), start);
}

TEST_F(TokenChangesTest, WatchesAreToldOfRevokedTokens) {
  Start("read 0123456789abcdef\nread fedcba9876543210\n");
  std::atomic<int> told = 0, told_of_other = 0;
  Authenticator::Watch watch(*authenticator_, "Bearer 0123456789abcdef",
                             Role::kRead, [&] { ++told; });
  Authenticator::Watch other(*authenticator_, "Bearer fedcba9876543210",
                             Role::kRead, [&] { ++told_of_other; });
  // A watch may end in its own function.
  std::optional<Authenticator::Watch> ends;
  std::atomic<bool> ended = false;
  ends.emplace(*authenticator_, "Bearer 0123456789abcdef", Role::kRead, [&] {
    ends.reset();
    ended = true;
  });
  EXPECT_TRUE(watch.Check().ok());
  Write("read fedcba9876543210\n");
  while (told < 3 || !ended) std::this_thread::sleep_for(kCheck);
  EXPECT_EQ(watch.Check(),
            absl::UnauthenticatedError("authorization: unknown token"));
  EXPECT_TRUE(other.Check().ok());
  EXPECT_EQ(told_of_other, 0);
}

}  // namespace
}  // namespace lmserve
