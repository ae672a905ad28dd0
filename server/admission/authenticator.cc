// SPDX-License-Identifier: Apache-2.0
#include "server/admission/authenticator.h"

#include <spdlog/spdlog.h>

#include <utility>
#include <vector>

#include "absl/memory/memory.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "model_store/sha256.h"
#include "model_store/stored_file.h"

namespace lmserve {
namespace {

// Shorter tokens can be guessed.
constexpr size_t kMinTokenLength = 16;

absl::Status FileError(const std::string& path, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("tokens: ", path, ": ", what));
}

absl::Status LineError(const std::string& path, int line,
                       absl::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat("tokens: ", path, ", line ", line, ": ", what));
}

absl::StatusOr<std::string> ReadTokens(const std::string& path) {
  const auto memory = ReadStoredFile(path);
  if (!memory.ok()) return FileError(path, memory.status().message());
  return std::string(memory->bytes());
}

absl::StatusOr<Authenticator::Clients> ParseTokens(const std::string& path,
                                                   const std::string& bytes) {
  Authenticator::Clients clients;
  int number = 0;
  for (absl::string_view line : absl::StrSplit(bytes, '\n')) {
    ++number;
    line = absl::StripAsciiWhitespace(line);
    if (line.empty() || line[0] == '#') continue;
    const std::vector<std::string> parts =
        absl::StrSplit(line, absl::ByAnyChar(" \t"), absl::SkipEmpty());
    if (parts.size() < 2 || parts.size() > 3 ||
        (parts[0] != "read" && parts[0] != "admin")) {
      return LineError(path, number,
                       "expected 'read TOKEN' or 'admin TOKEN', and perhaps a "
                       "name without white space");
    }
    if (parts[1].size() < kMinTokenLength) {
      return LineError(
          path, number,
          absl::StrCat("expected a token of ", kMinTokenLength,
                       " characters or more, found ", parts[1].size()));
    }
    Authenticator::Client& client = clients[Sha256(parts[1])];
    client.role = parts[0] == "admin" ? Role::kAdmin : Role::kRead;
    client.name = parts.size() == 3 ? parts[2] : "";
  }
  if (clients.empty()) return FileError(path, "expected a token, found none");
  return clients;
}

// Returns "" if the header has no token. Tokens are compared by their hashes,
// so that the time that the search takes reveals nothing about them.
std::string HashOfToken(absl::string_view authorization) {
  absl::string_view token = authorization;
  return absl::ConsumePrefix(&token, "Bearer ") ? Sha256(token) : "";
}

}  // namespace

absl::StatusOr<std::unique_ptr<Authenticator>> Authenticator::Create(
    const std::string& path, std::chrono::milliseconds check_interval) {
  absl::StatusOr<std::string> bytes = ReadTokens(path);
  if (!bytes.ok()) return bytes.status();
  absl::StatusOr<Clients> clients = ParseTokens(path, *bytes);
  if (!clients.ok()) return clients.status();
  return absl::WrapUnique(new Authenticator(
      path, check_interval, *std::move(bytes), *std::move(clients)));
}

Authenticator::Authenticator(std::string path,
                             std::chrono::milliseconds check_interval,
                             std::string bytes, Clients clients)
    : path_(std::move(path)),
      check_interval_(check_interval),
      believed_(std::move(bytes)),
      clients_(std::move(clients)),
      thread_([this] { Run(); }) {}

Authenticator::~Authenticator() {
  Stop(std::chrono::milliseconds(0));
  thread_.join();
}

bool Authenticator::Stop(std::chrono::milliseconds limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  const MutexLock lock(mutex_);
  stopping_ = true;
  stop_.NotifyAll();
  while (!thread_ended_ && stop_.WaitUntil(mutex_, end)) {
  }
  return thread_ended_;
}

absl::Status Authenticator::Check(absl::string_view authorization,
                                  Role needed) const {
  const std::string hash = HashOfToken(authorization);
  const MutexLock lock(mutex_);
  return CheckHash(hash, needed);
}

std::string Authenticator::NameOf(absl::string_view authorization) const {
  const std::string hash = HashOfToken(authorization);
  const MutexLock lock(mutex_);
  const auto found = clients_.find(hash);
  return found == clients_.end() ? "" : found->second.name;
}

absl::Status Authenticator::CheckHash(const std::string& hash,
                                      Role needed) const {
  if (hash.empty()) {
    return absl::UnauthenticatedError(
        "authorization: expected 'Bearer TOKEN', found none");
  }
  const auto found = clients_.find(hash);
  if (found == clients_.end()) {
    return absl::UnauthenticatedError("authorization: unknown token");
  }
  if (needed == Role::kAdmin && found->second.role != Role::kAdmin) {
    return absl::PermissionDeniedError(
        "authorization: the call requires the role admin, the token has read");
  }
  return absl::OkStatus();
}

void Authenticator::Run() {
  while (true) {
    {
      const MutexLock lock(mutex_);
      if (!stopping_) stop_.WaitFor(mutex_, check_interval_);
      if (stopping_) {
        thread_ended_ = true;
        stop_.NotifyAll();
        return;
      }
    }
    ReadAgain();
    checked_ = std::chrono::system_clock::now();
    const MutexLock lock(mutex_);
    EndRevoked();
  }
}

void Authenticator::ReadAgain() {
  const absl::StatusOr<std::string> bytes = ReadTokens(path_);
  if (!bytes.ok()) {
    OnError(bytes.status());
    checks_of_last_ = 0;
    return;
  }
  if (*bytes == believed_) {
    checks_of_last_ = 0;
    logged_.clear();
    return;
  }
  checks_of_last_ = *bytes == last_ ? checks_of_last_ + 1 : 1;
  last_ = *bytes;
  const bool has_end = bytes->empty() || bytes->back() == '\n';
  if (checks_of_last_ >= (has_end ? 2 : kUnendedChecks)) TakeIfValid(*bytes);
}

void Authenticator::TakeIfValid(const std::string& bytes) {
  absl::StatusOr<Clients> clients = ParseTokens(path_, bytes);
  if (!clients.ok()) return OnError(clients.status());
  believed_ = bytes;
  logged_.clear();
  spdlog::info("tokens: read {} tokens from {}", clients->size(), path_);
  const MutexLock lock(mutex_);
  clients_ = *std::move(clients);
}

void Authenticator::OnError(const absl::Status& error) {
  ++failures_;
  if (logged_ == error.message()) return;
  logged_ = std::string(error.message());
  spdlog::error("{}; the old tokens stay valid", logged_);
}

void Authenticator::EndRevoked() {
  Watch* last = nullptr;
  while (!stopping_) {
    auto next = watches_.upper_bound(last);
    while (next != watches_.end() &&
           CheckHash((*next)->hash_, (*next)->needed_).ok()) {
      ++next;
    }
    if (next == watches_.end()) return;
    last = *next;
    ending_ = last;
    mutex_.Unlock();
    // A copy, because the function may destroy the watch.
    const std::function<void()> on_revoked = last->on_revoked_;
    on_revoked();
    mutex_.Lock();
    ending_ = nullptr;
    ended_.NotifyAll();
  }
}

Authenticator::Watch::Watch(Authenticator& authenticator,
                            absl::string_view authorization, Role needed,
                            std::function<void()> on_revoked)
    : authenticator_(authenticator),
      hash_(HashOfToken(authorization)),
      needed_(needed),
      on_revoked_(std::move(on_revoked)) {
  const MutexLock lock(authenticator_.mutex_);
  authenticator_.watches_.insert(this);
}

Authenticator::Watch::~Watch() {
  const MutexLock lock(authenticator_.mutex_);
  authenticator_.watches_.erase(this);
  while (authenticator_.ending_ == this &&
         authenticator_.thread_.get_id() != std::this_thread::get_id()) {
    authenticator_.ended_.Wait(authenticator_.mutex_);
  }
}

absl::Status Authenticator::Watch::Check() const {
  const MutexLock lock(authenticator_.mutex_);
  return authenticator_.CheckHash(hash_, needed_);
}

}  // namespace lmserve
