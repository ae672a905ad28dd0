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

// How often to look whether the file has changed.
constexpr std::chrono::seconds kLookEvery(1);

// Shorter tokens can be guessed.
constexpr size_t kLeastTokenLength = 16;

std::filesystem::file_time_type WrittenAt(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::last_write_time(path, ignored);
}

absl::Status Wrong(const std::string& path, int line, absl::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat("tokens: ", path, ", line ", line, ": ", what));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Authenticator>> Authenticator::Create(
    const std::string& path) {
  auto authenticator = absl::WrapUnique(new Authenticator(path));
  authenticator->written_ = WrittenAt(path);
  authenticator->looked_ = std::chrono::steady_clock::now();
  absl::StatusOr<Roles> roles = Read(path);
  if (!roles.ok()) return roles.status();
  authenticator->roles_ = *std::move(roles);
  return authenticator;
}

absl::StatusOr<Authenticator::Roles> Authenticator::Read(
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
      return Wrong(path, number, "expected 'read TOKEN' or 'admin TOKEN'");
    }
    if (parts[1].size() < kLeastTokenLength) {
      return Wrong(
          path, number,
          absl::StrCat("expected a token of ", kLeastTokenLength,
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
  // By its hash: how long the search takes tells nothing of the tokens.
  const std::string hash = Sha256(token);
  const std::lock_guard<std::mutex> lock(mutex_);
  ReadAgainIfChanged();
  const auto found = roles_.find(hash);
  if (found == roles_.end()) {
    return absl::UnauthenticatedError("authorization: the token is unknown");
  }
  if (needed == Role::kAdmin && found->second != Role::kAdmin) {
    return absl::PermissionDeniedError(
        "authorization: the call needs the role admin, the token has read");
  }
  return absl::OkStatus();
}

void Authenticator::ReadAgainIfChanged() {
  const auto now = std::chrono::steady_clock::now();
  if (now < looked_ + kLookEvery) return;
  looked_ = now;
  const auto written = WrittenAt(path_);
  if (written == written_) return;
  written_ = written;
  absl::StatusOr<Roles> roles = Read(path_);
  if (!roles.ok()) {
    spdlog::error("{}; the tokens stay as they were",
                  std::string(roles.status().message()));
    return;
  }
  roles_ = *std::move(roles);
  spdlog::info("tokens: read {} from {}", roles_.size(), path_);
}

}  // namespace lmserve
