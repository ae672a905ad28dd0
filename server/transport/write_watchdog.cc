// SPDX-License-Identifier: Apache-2.0
#include "server/transport/write_watchdog.h"

#include <algorithm>

namespace lmserve {

WriteWatchdog::WriteWatchdog(std::chrono::milliseconds limit) : limit_(limit) {
  if (limit_.count() > 0) thread_ = std::thread([this] { Run(); });
}

WriteWatchdog::~WriteWatchdog() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
  }
  stop_.NotifyAll();
  if (thread_.joinable()) thread_.join();
}

WriteWatchdog::Watch::Watch(WriteWatchdog& watchdog, const TransportCall& call)
    : watchdog_(watchdog), call_(call) {
  if (watchdog_.limit_.count() == 0) return;
  since_ = Clock::now();
  const MutexLock lock(watchdog_.mutex_);
  watchdog_.Append(this);
}

WriteWatchdog::Watch::~Watch() {
  if (watchdog_.limit_.count() == 0) return;
  const MutexLock lock(watchdog_.mutex_);
  watchdog_.Remove(this);
  watchdog_.WaitUntilCancelled(this);
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

// The call must not end on one thread while the watchdog cancels it on its own.
// But Cancel() itself may end the call, and then it must not wait for itself.
void WriteWatchdog::WaitUntilCancelled(const Watch* watch) {
  while (cancelling_ == watch &&
         thread_.get_id() != std::this_thread::get_id()) {
    cancelled_.Wait(mutex_);
  }
}

void WriteWatchdog::Run() {
  const MutexLock lock(mutex_);
  const auto pause = std::max(limit_ / 4, std::chrono::milliseconds(1));
  while (!stopping_) {
    if (!stop_.WaitFor(mutex_, pause)) CancelStalled();
  }
}

void WriteWatchdog::CancelStalled() {
  const Clock::time_point now = Clock::now();
  while (waiting_.after != &waiting_) {
    Watch* oldest = static_cast<Watch*>(waiting_.after);
    if (oldest->since_ > now - limit_) return;
    // It goes to the end of the ring, and is cancelled again when it is still
    // there after another `limit_`.
    Remove(oldest);
    Append(oldest);
    oldest->since_ = now;
    cancelling_ = oldest;
    const TransportCall& call = oldest->call_;
    mutex_.Unlock();
    call.Cancel(
        CancelReason::kStalled);  // the watch and the call may be gone after it
    mutex_.Lock();
    cancelling_ = nullptr;
    cancelled_.NotifyAll();
  }
}

}  // namespace lmserve
