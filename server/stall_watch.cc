#include "server/stall_watch.h"

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
  const Entry entry = {&context, Clock::now(), false};
  const std::lock_guard<std::recursive_mutex> lock(stalls_.mutex_);
  entry_ = stalls_.waiting_.insert(stalls_.waiting_.end(), entry);
}

StallWatch::Watch::~Watch() {
  if (stalls_.limit_.count() == 0) return;
  const std::lock_guard<std::recursive_mutex> lock(stalls_.mutex_);
  (entry_->cancelled ? stalls_.cancelled_ : stalls_.waiting_).erase(entry_);
}

void StallWatch::Work() {
  std::unique_lock<std::recursive_mutex> lock(mutex_);
  while (!stop_.wait_for(lock, limit_ / 4, [this] { return stopping_; })) {
    CancelStalled();
  }
}

void StallWatch::CancelStalled() {
  const Clock::time_point latest = Clock::now() - limit_;
  while (!waiting_.empty() && waiting_.front().since <= latest) {
    Entry& entry = waiting_.front();
    cancelled_.splice(cancelled_.end(), waiting_, waiting_.begin());
    entry.cancelled = true;
    entry.call->TryCancel();  // entry may be gone after it
  }
}

}  // namespace lmserve
