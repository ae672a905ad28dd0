#include "server/rpc/write_watchdog.h"

#include <algorithm>

namespace lmserve {

WriteWatchdog::WriteWatchdog(std::chrono::milliseconds limit) : limit_(limit) {
  if (limit_.count() > 0) thread_ = std::thread([this] { Work(); });
}

WriteWatchdog::~WriteWatchdog() {
  {
    const std::lock_guard<std::recursive_mutex> lock(mutex_);
    stopping_ = true;
  }
  stop_.notify_all();
  if (thread_.joinable()) thread_.join();
}

WriteWatchdog::Watch::Watch(WriteWatchdog& watchdog,
                            const grpc::CallbackServerContext& context)
    : watchdog_(watchdog), call_(context) {
  if (watchdog_.limit_.count() == 0) return;
  since_ = Clock::now();
  const std::lock_guard<std::recursive_mutex> lock(watchdog_.mutex_);
  watchdog_.Append(this);
}

WriteWatchdog::Watch::~Watch() {
  if (watchdog_.limit_.count() == 0) return;
  const std::lock_guard<std::recursive_mutex> lock(watchdog_.mutex_);
  Remove(this);
}

void WriteWatchdog::Append(Watch* watch) {
  watch->before = waiting_.before;
  watch->after = &waiting_;
  watch->before->after = waiting_.before = watch;
}

void WriteWatchdog::Remove(Watch* watch) {
  watch->before->after = watch->after;
  watch->after->before = watch->before;
}

void WriteWatchdog::Work() {
  std::unique_lock<std::recursive_mutex> lock(mutex_);
  const auto pause = std::max(limit_ / 4, std::chrono::milliseconds(1));
  while (!stop_.wait_for(lock, pause, [this] { return stopping_; })) {
    CancelStalled();
  }
}

// To cancel a call that has not ended yet once more does nothing.
void WriteWatchdog::CancelStalled() {
  const Clock::time_point now = Clock::now();
  while (waiting_.after != &waiting_) {
    Watch* oldest = static_cast<Watch*>(waiting_.after);
    if (oldest->since_ > now - limit_) return;
    Remove(oldest);
    Append(oldest);
    oldest->since_ = now;
    oldest->call_.TryCancel();  // the watch may be gone after it
  }
}

}  // namespace lmserve
