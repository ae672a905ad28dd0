// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_TRANSPORT_SHUTDOWN_SIGNAL_H_
#define LMSERVE_SERVER_TRANSPORT_SHUTDOWN_SIGNAL_H_

#include <atomic>
#include <functional>
#include <set>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "model_store/mutex.h"

namespace lmserve {

// Says that the running calls must end now, because the server does. Calls that
// work look at it between two steps. Calls that wait for their client watch it.
// Thread-safe, except for Raise(); it must outlive its watches.
class ShutdownSignal {
 public:
  // True after the first Raise().
  const std::atomic<bool>& is_raised() const { return is_raised_; }

  // Calls the functions of all watches. A call may begin to wait for its client
  // later, so this is to be repeated while calls are running. Must not be
  // called by two threads at once.
  void Raise();

  // Watches the signal as long as it lives.
  class Watch {
   public:
    // `on_raised` is called by Raise(). It may destroy the watch.
    Watch(ShutdownSignal& signal, std::function<void()> on_raised);
    // Waits for `on_raised` to return, unless that calls the destructor.
    ~Watch();
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;

   private:
    friend class ShutdownSignal;

    ShutdownSignal& signal_;
    const std::function<void()> on_raised_;
  };

 private:
  std::atomic<bool> is_raised_ = false;
  Mutex mutex_;
  std::set<Watch*> watches_ ABSL_GUARDED_BY(mutex_);
  // The watch whose function is running, without the mutex, and on which
  // thread.
  const Watch* running_ ABSL_GUARDED_BY(mutex_) = nullptr;
  std::thread::id thread_ ABSL_GUARDED_BY(mutex_);
  ConditionVariable ended_;
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_TRANSPORT_SHUTDOWN_SIGNAL_H_
