// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_TRANSPORT_WRITE_WATCHDOG_H_
#define LMSERVE_SERVER_TRANSPORT_WRITE_WATCHDOG_H_

#include <chrono>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "model_store/mutex.h"
#include "server/transport/transport_call.h"

namespace lmserve {

// Cancels calls whose clients do not read what the server sends them. Without
// it a silent client would hold the memory of its call forever. Thread-safe; it
// must outlive its watches.
class WriteWatchdog {
  // A node of the ring of watches, whose first node is `waiting_`.
  struct Link {
    Link* before = this;
    Link* after = this;
  };

 public:
  // Cancels a call when one of its watches is `limit` old, or up to a quarter
  // of `limit` later. A limit of 0 turns the watchdog off.
  explicit WriteWatchdog(std::chrono::milliseconds limit);
  ~WriteWatchdog();
  WriteWatchdog(const WriteWatchdog&) = delete;
  WriteWatchdog& operator=(const WriteWatchdog&) = delete;

  // Watches one write to a client as long as it lives. The call must outlive
  // it.
  class Watch : private Link {
   public:
    Watch(WriteWatchdog& watchdog, const TransportCall& call);
    ~Watch();
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;

   private:
    friend class WriteWatchdog;

    WriteWatchdog& watchdog_;
    const TransportCall& call_;
    // When the write began, or when the call was last cancelled. Guarded by the
    // mutex of the watchdog.
    std::chrono::steady_clock::time_point since_;
  };

 private:
  using Clock = std::chrono::steady_clock;

  void Append(Watch* watch) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Remove(Watch* watch) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void WaitUntilCancelled(const Watch* watch)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Run();
  void CancelStalled() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::chrono::milliseconds limit_;
  Mutex mutex_;
  Link waiting_ ABSL_GUARDED_BY(mutex_);  // oldest first
  // The watch whose call is being cancelled at the moment, without the mutex.
  const Watch* cancelling_ ABSL_GUARDED_BY(mutex_) = nullptr;
  ConditionVariable cancelled_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  ConditionVariable stop_;
  std::thread thread_;
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_TRANSPORT_WRITE_WATCHDOG_H_
