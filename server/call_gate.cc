#include "server/call_gate.h"

namespace lmserve {

CallGate::Pass CallGate::Enter() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (closed_) return nullptr;
  ++under_way_;
  return Pass(this);
}

bool CallGate::CloseAndWait(std::chrono::milliseconds deadline) {
  std::unique_lock<std::mutex> lock(mutex_);
  closed_ = true;
  return changed_.wait_for(lock, deadline, [this] { return under_way_ == 0; });
}

void CallGate::Exit() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (--under_way_ == 0) changed_.notify_all();
}

}  // namespace lmserve
