// SPDX-License-Identifier: Apache-2.0
#include "client/retry.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <random>
#include <thread>

#include "absl/strings/str_cat.h"
#include "client/error_details.h"

namespace lmserve {
namespace {

using Seconds = std::chrono::duration<double>;

constexpr Seconds kFirstPause(0.1), kLongestPause(2);
constexpr double kJitter = 0.2;

// Returns a number between 1 - kJitter and 1 + kJitter.
double RandomFactor() {
  static thread_local std::minstd_rand random{std::random_device()()};
  return std::uniform_real_distribution<double>(1 - kJitter,
                                                1 + kJitter)(random);
}

// Returns the pause after this many attempts, or nullopt if the error is final.
std::optional<Seconds> PauseAfter(const absl::Status& error, int attempts) {
  if (absl::IsUnavailable(error)) {
    const int doublings = std::min(attempts - 1, 10);
    return RandomFactor() *
           std::min(kLongestPause, kFirstPause * std::exp2(doublings));
  }
  if (!absl::IsResourceExhausted(error)) return std::nullopt;
  const auto delay = RetryDelay(error);
  if (!delay.has_value()) return std::nullopt;
  // Not sooner than the server asks for.
  return *delay * (RandomFactor() + kJitter);
}

}  // namespace

absl::Status Retry::Next(const absl::Status& error) {
  ++attempts_;
  const std::optional<Seconds> pause = PauseAfter(error, attempts_);
  const bool has_attempts =
      options_.attempts == 0 || attempts_ < options_.attempts;
  if (!pause.has_value() || !has_attempts) return Final(error);
  const auto end =
      Clock::now() + std::chrono::duration_cast<Clock::duration>(*pause);
  if (end >= options_.deadline) return Final(error);
  if (options_.on_retry != nullptr) options_.on_retry(error);
  last_ = error;
  std::this_thread::sleep_until(end);
  return absl::OkStatus();
}

absl::Status Retry::Final(const absl::Status& error) const {
  if (attempts_ == 1) return error;
  const absl::Status& reason = absl::IsDeadlineExceeded(error) ? last_ : error;
  absl::Status status(reason.code(), absl::StrCat(reason.message(), " (tried ",
                                                  attempts_, " times)"));
  reason.ForEachPayload([&](absl::string_view type, const absl::Cord& value) {
    status.SetPayload(type, value);
  });
  return status;
}

}  // namespace lmserve
