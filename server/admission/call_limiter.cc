// SPDX-License-Identifier: Apache-2.0
#include "server/admission/call_limiter.h"

#include "absl/strings/str_cat.h"
#include "server/call/status.h"

namespace lmserve {
namespace {

// After this time a refused client may try again. A call that waits in the
// queue takes about as long.
constexpr absl::Duration kCallRetryDelay = absl::Milliseconds(100);

absl::Status TooManyCalls(absl::string_view of_whom, uint64_t limit,
                          absl::string_view option) {
  return ResourceExhausted(
      absl::StrCat("too many calls", of_whom, " at once: ", limit, " of ",
                   limit, " allowed (", option, ")"),
      kCallRetryDelay);
}

}  // namespace

absl::StatusOr<CallLimiter::Permit> CallLimiter::Enter(
    const std::string& client) {
  absl::Status status = Count();
  if (!status.ok()) return status;
  if (limits_clients() && !CountForClient(client)) {
    status = TooManyCalls(" of this client", options_.calls_per_client,
                          "--max-calls-per-client");
    Uncount();  // after the last use of this object
    return status;
  }
  return Permit(this, {client});
}

absl::Status CallLimiter::Count() {
  uint64_t state = state_;
  do {
    if ((state & kClosed) != 0) return ShuttingDown();
    if (state >= options_.calls) {
      return TooManyCalls("", options_.calls, "--max-calls");
    }
  } while (!state_.compare_exchange_weak(state, state + 1));
  return absl::OkStatus();
}

bool CallLimiter::CountForClient(const std::string& client) {
  const MutexLock lock(mutex_);
  uint64_t& calls = calls_by_client_[client];
  if (calls >= options_.calls_per_client) return false;
  ++calls;
  return true;
}

uint64_t CallLimiter::under_way() const { return state_ & ~kClosed; }

bool CallLimiter::CloseAndWait(std::chrono::milliseconds deadline) {
  const auto end = std::chrono::steady_clock::now() + deadline;
  const MutexLock lock(mutex_);
  state_ |= kClosed;
  while (under_way() > 0) {
    if (!empty_.WaitUntil(mutex_, end)) return under_way() == 0;
  }
  return true;
}

void CallLimiter::Exit(const std::string& client) {
  if (limits_clients()) {
    const MutexLock lock(mutex_);
    if (--calls_by_client_[client] == 0) calls_by_client_.erase(client);
  }
  Uncount();
}

// When the limiter is closed, the last call is counted under the mutex, because
// the thread that waits for it may destroy the limiter right afterwards.
void CallLimiter::Uncount() {
  uint64_t state = state_;
  while ((state & kClosed) == 0) {
    if (state_.compare_exchange_weak(state, state - 1)) return;
  }
  const MutexLock lock(mutex_);
  if (--state_ == kClosed) empty_.NotifyAll();
}

}  // namespace lmserve
