#include "server/stall_watch.h"

#include <algorithm>

namespace lmserve {

StallWatch::StallWatch(std::chrono::milliseconds limit) : limit_(limit) {
  if (limit_.count() > 0) thread_ = std::thread([this] { Work(); });
}

StallWatch::~StallWatch() {
  {
    const std::lock_guard<std::recursive_mutex> lock(mutex_);
    stopping_ = true;
  }
  stop_.notify_all();
  if (thread_.joinable()) thread_.join();
}

StallWatch::Watch::Watch(StallWatch& stalls,
                         const grpc::CallbackServerContext& context)
    : stalls_(stalls) {
  if (stalls_.limit_.count() == 0) return;
  const Entry entry = {&context, Clock::now()};
  const std::lock_guard<std::recursive_mutex> lock(stalls_.mutex_);
  entry_ = stalls_.waiting_.insert(stalls_.waiting_.end(), entry);
}

StallWatch::Watch::~Watch() {
  if (stalls_.limit_.count() == 0) return;
  const std::lock_guard<std::recursive_mutex> lock(stalls_.mutex_);
  stalls_.waiting_.erase(entry_);
}

void StallWatch::Work() {
  std::unique_lock<std::recursive_mutex> lock(mutex_);
  const auto pause = std::max(limit_ / 4, std::chrono::milliseconds(1));
  while (!stop_.wait_for(lock, pause, [this] { return stopping_; })) {
    CancelStalled();
  }
}

// To cancel a call that has not ended yet once more does nothing.
void StallWatch::CancelStalled() {
  const Clock::time_point now = Clock::now();
  while (!waiting_.empty() && waiting_.front().since <= now - limit_) {
    Entry& entry = waiting_.front();
    waiting_.splice(waiting_.end(), waiting_, waiting_.begin());
    entry.since = now;
    entry.call->TryCancel();  // entry may be gone after it
  }
}

}  // namespace lmserve
