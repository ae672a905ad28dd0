// SPDX-License-Identifier: Apache-2.0
#include "server/transport/shutdown_signal.h"

#include <utility>

namespace lmserve {

void ShutdownSignal::Raise() {
  is_raised_ = true;
  Watch* last = nullptr;
  const MutexLock lock(mutex_);
  thread_ = std::this_thread::get_id();
  for (auto next = watches_.begin(); next != watches_.end();
       next = watches_.upper_bound(last)) {
    last = *next;
    running_ = last;
    mutex_.Unlock();
    // A copy, because the function may destroy the watch.
    const std::function<void()> on_raised = last->on_raised_;
    on_raised();
    mutex_.Lock();
    running_ = nullptr;
    ended_.NotifyAll();
  }
}

ShutdownSignal::Watch::Watch(ShutdownSignal& signal,
                             std::function<void()> on_raised)
    : signal_(signal), on_raised_(std::move(on_raised)) {
  const MutexLock lock(signal_.mutex_);
  signal_.watches_.insert(this);
}

ShutdownSignal::Watch::~Watch() {
  const MutexLock lock(signal_.mutex_);
  signal_.watches_.erase(this);
  while (signal_.running_ == this &&
         signal_.thread_ != std::this_thread::get_id()) {
    signal_.ended_.Wait(signal_.mutex_);
  }
}

}  // namespace lmserve
