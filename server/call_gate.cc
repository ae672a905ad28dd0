#include "server/call_gate.h"

#include "absl/strings/str_cat.h"
#include "server/errors.h"

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

absl::StatusOr<CallGate::Pass> CallGate::Enter(const std::string& client) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (closed_) return ShuttingDown();
  if (under_way_ >= options_.calls) return TooMany("calls", options_.calls);
  if (limits_clients()) {
    uint64_t& own = by_client_[client];
    if (own >= options_.calls_per_client) {
      return TooMany("calls of this client", options_.calls_per_client);
    }
    ++own;
  }
  ++under_way_;
  return Pass(this, {client});
}

uint64_t CallGate::under_way() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return under_way_;
}

bool CallGate::CloseAndWait(std::chrono::milliseconds deadline) {
  std::unique_lock<std::mutex> lock(mutex_);
  closed_ = true;
  return changed_.wait_for(lock, deadline, [this] { return under_way_ == 0; });
}

void CallGate::Exit(const std::string& client) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (limits_clients() && --by_client_[client] == 0) {
    by_client_.erase(client);
  }
  if (--under_way_ == 0) changed_.notify_all();
}

}  // namespace lmserve
