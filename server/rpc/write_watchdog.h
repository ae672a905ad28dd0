#ifndef LMSERVE_SERVER_RPC_WRITE_WATCHDOG_H_
#define LMSERVE_SERVER_RPC_WRITE_WATCHDOG_H_

#include <grpcpp/server_context.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace lmserve {

// Cancels calls whose clients do not take what is sent to them: else one that
// is silent would hold what the call has for ever. Any number of threads may
// use one; it must outlive the watches.
class WriteWatchdog {
  // Of the list of watches: a ring, which the list itself closes.
  struct Link {
    Link* before = this;
    Link* after = this;
  };

 public:
  // Calls are cancelled after `limit`, or up to a quarter of it later; 0:
  // never.
  explicit WriteWatchdog(std::chrono::milliseconds limit);
  ~WriteWatchdog();

  // Something is on its way to a call's client, as long as it lives.
  class Watch : private Link {
   public:
    Watch(WriteWatchdog& watchdog, const grpc::CallbackServerContext& context);
    ~Watch();
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;

   private:
    friend class WriteWatchdog;

    WriteWatchdog& watchdog_;
    const grpc::CallbackServerContext& call_;
    std::chrono::steady_clock::time_point since_;  // or since it was cancelled
  };

 private:
  using Clock = std::chrono::steady_clock;

  void Append(Watch* watch);
  static void Remove(Watch* watch);
  void Work();
  void CancelStalled();

  const std::chrono::milliseconds limit_;
  // Recursive, for a call that is cancelled may end its watch at once.
  std::recursive_mutex mutex_;
  Link waiting_;  // oldest first; guarded by mutex_, as the next
  bool stopping_ = false;
  std::condition_variable_any stop_;
  std::thread thread_;
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_RPC_WRITE_WATCHDOG_H_
