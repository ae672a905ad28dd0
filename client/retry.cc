// SPDX-License-Identifier: Apache-2.0
#include "client/retry.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <random>

#include "absl/strings/str_cat.h"
#include "client/error_details.h"

namespace lmserve {
namespace {

using Seconds = std::chrono::duration<double>;

constexpr Seconds kFirstPause(0.1), kLongestPause(2);
// A pause is cut so that the last attempt has this much time.
constexpr Seconds kLastAttempt(0.1);
constexpr double kJitter = 0.2;

// Returns a number between 1 - kJitter and 1 + kJitter.
double RandomFactor() {
  static thread_local std::minstd_rand random{std::random_device()()};
  return std::uniform_real_distribution<double>(1 - kJitter,
                                                1 + kJitter)(random);
}

// Returns the pause after this many attempts, which fits into the time that is
// left for the call, or 0 or less if the call must not be tried again.
Seconds PauseAfter(const absl::Status& error, int attempts, Seconds left) {
  if (absl::IsUnavailable(error)) {
    const int doublings = std::min(attempts - 1, 10);
    const Seconds pause =
        std::min(kLongestPause, kFirstPause * std::exp2(doublings));
    return std::min(RandomFactor() * pause, left - kLastAttempt);
  }
  const auto delay = absl::IsResourceExhausted(error)
                         ? RetryDelay(error)
                         : std::optional<std::chrono::milliseconds>();
  if (!delay.has_value()) return Seconds(0);
  // Not sooner than the server asks for.
  const Seconds pause =
      std::max<Seconds>(*delay, kFirstPause) * (RandomFactor() + kJitter);
  return pause < left ? pause : Seconds(0);
}

}  // namespace

absl::Status Retry::Next(const absl::Status& error) {
  ++attempts_;
  const Seconds pause =
      PauseAfter(error, attempts_, options_.deadline - Clock::now());
  const bool has_attempts =
      options_.attempts == 0 || attempts_ < options_.attempts;
  if (pause <= Seconds(0) || !has_attempts) return Final(error);
  if (options_.on_retry != nullptr) options_.on_retry(error);
  last_ = error;
  options_.wait_until(Clock::now() +
                      std::chrono::duration_cast<Clock::duration>(pause));
  return absl::OkStatus();
}

absl::Status Retry::Final(const absl::Status& error) const {
  if (attempts_ == 1) return error;
  const absl::Status& reason = absl::IsDeadlineExceeded(error) ? last_ : error;
  return WithMessage(
      reason, absl::StrCat(reason.message(), " (tried ", attempts_, " times)"));
}

}  // namespace lmserve
