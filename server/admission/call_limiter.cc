#include "server/admission/call_limiter.h"

#include "absl/strings/str_cat.h"
#include "server/call/status.h"

namespace lmserve {
namespace {

// When a client whose call was one too many may come again: about as long as a
// call takes that waits its turn.
constexpr absl::Duration kWait = absl::Milliseconds(100);

absl::Status TooMany(absl::string_view what, uint64_t limit) {
  return ResourceExhausted(
      absl::StrCat(what, ": ", limit, " are under way, the limit"), kWait);
}

}  // namespace

absl::StatusOr<CallLimiter::Permit> CallLimiter::Enter(
    const std::string& client) {
  absl::Status status = Count();
  if (!status.ok()) return status;
  if (limits_clients() && !CountOf(client)) {
    status = TooMany("calls of this client", options_.calls_per_client);
    Uncount();
    return status;
  }
  return Permit(this, {client});
}

absl::Status CallLimiter::Count() {
  uint64_t state = state_;
  do {
    if ((state & kClosed) != 0) return ShuttingDown();
    if (state >= options_.calls) return TooMany("calls", options_.calls);
  } while (!state_.compare_exchange_weak(state, state + 1));
  return absl::OkStatus();
}

bool CallLimiter::CountOf(const std::string& client) {
  const std::lock_guard<std::mutex> lock(mutex_);
  uint64_t& own = by_client_[client];
  if (own >= options_.calls_per_client) return false;
  ++own;
  return true;
}

uint64_t CallLimiter::under_way() const { return state_ & ~kClosed; }

bool CallLimiter::CloseAndWait(std::chrono::milliseconds deadline) {
  std::unique_lock<std::mutex> lock(mutex_);
  state_ |= kClosed;
  return empty_.wait_for(lock, deadline, [this] { return under_way() == 0; });
}

void CallLimiter::Exit(const std::string& client) {
  if (limits_clients()) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (--by_client_[client] == 0) by_client_.erase(client);
  }
  Uncount();
}

// Once the gate is closed the last call is counted off under the mutex: who
// waits for it may free the gate right then.
void CallLimiter::Uncount() {
  uint64_t state = state_;
  while ((state & kClosed) == 0) {
    if (state_.compare_exchange_weak(state, state - 1)) return;
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  if (--state_ == kClosed) empty_.notify_all();
}

}  // namespace lmserve
