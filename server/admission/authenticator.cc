// SPDX-License-Identifier: Apache-2.0
#include "server/admission/authenticator.h"

#include <spdlog/spdlog.h>

#include <fstream>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/memory/memory.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "model_store/sha256.h"

namespace lmserve {
namespace {

// How often to check whether the file has changed.
constexpr std::chrono::seconds kCheckInterval(1);

// Shorter tokens can be guessed.
constexpr size_t kMinTokenLength = 16;

std::filesystem::file_time_type ModificationTime(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::last_write_time(path, ignored);
}

absl::Status LineError(const std::string& path, int line,
                       absl::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat("tokens: ", path, ", line ", line, ": ", what));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Authenticator>> Authenticator::Create(
    const std::string& path) {
  // Before the file is read, so that a change in between is noticed.
  const auto written = ModificationTime(path);
  absl::StatusOr<Roles> roles = ReadRoles(path);
  if (!roles.ok()) return roles.status();
  return absl::WrapUnique(new Authenticator(path, *std::move(roles), written));
}

absl::StatusOr<Authenticator::Roles> Authenticator::ReadRoles(
    const std::string& path) {
  std::ifstream file(path);
  if (!file) {
    return absl::InvalidArgumentError(
        absl::StrCat("tokens: ", path, ": cannot be read"));
  }
  Roles roles;
  std::string line;
  for (int number = 1; std::getline(file, line); ++number) {
    absl::StripAsciiWhitespace(&line);
    if (line.empty() || line[0] == '#') continue;
    const std::vector<std::string> parts =
        absl::StrSplit(line, absl::ByAnyChar(" \t"), absl::SkipEmpty());
    if (parts.size() != 2 || (parts[0] != "read" && parts[0] != "admin")) {
      return LineError(path, number, "expected 'read TOKEN' or 'admin TOKEN'");
    }
    if (parts[1].size() < kMinTokenLength) {
      return LineError(
          path, number,
          absl::StrCat("expected a token of ", kMinTokenLength,
                       " characters or more, found ", parts[1].size()));
    }
    roles[Sha256(parts[1])] = parts[0] == "admin" ? Role::kAdmin : Role::kRead;
  }
  return roles;
}

absl::Status Authenticator::Check(absl::string_view authorization,
                                  Role needed) {
  absl::string_view token = authorization;
  if (!absl::ConsumePrefix(&token, "Bearer ")) {
    return absl::UnauthenticatedError(
        "authorization: expected 'Bearer TOKEN', found none");
  }
  // Tokens are compared by their hashes, so that the time that the search takes
  // reveals nothing about them.
  const std::string hash = Sha256(token);
  const MutexLock lock(mutex_);
  ReadAgainIfChanged();
  const auto found = roles_.find(hash);
  if (found == roles_.end()) {
    return absl::UnauthenticatedError("authorization: unknown token");
  }
  if (needed == Role::kAdmin && found->second != Role::kAdmin) {
    return absl::PermissionDeniedError(
        "authorization: the call requires the role admin, the token has read");
  }
  return absl::OkStatus();
}

void Authenticator::ReadAgainIfChanged() {
  const Clock::time_point now = Clock::now();
  if (now < checked_ + kCheckInterval) return;
  checked_ = now;
  const auto written = ModificationTime(path_);
  if (written == written_) return;
  written_ = written;
  absl::StatusOr<Roles> roles = ReadRoles(path_);
  if (!roles.ok()) {
    spdlog::error("{}; the old tokens stay valid",
                  std::string(roles.status().message()));
    return;
  }
  roles_ = *std::move(roles);
  spdlog::info("tokens: read {} tokens from {}", roles_.size(), path_);
}

}  // namespace lmserve
