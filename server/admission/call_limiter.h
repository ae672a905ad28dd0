// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_ADMISSION_CALL_LIMITER_H_
#define LMSERVE_SERVER_ADMISSION_CALL_LIMITER_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "model_store/mutex.h"

namespace lmserve {

struct CallLimiterOptions {
  uint64_t calls = 10'000;        // at the same time, streams included
  uint64_t calls_per_client = 0;  // of one address; 0: as many as `calls`
};

// Limits how many calls run at the same time and, once it is closed, lets the
// running calls end and refuses new ones. A server needs it to bound its memory
// and to shut down without cutting off an answer. Thread-safe; it must outlive
// its permits.
class CallLimiter {
 public:
  explicit CallLimiter(const CallLimiterOptions& options = {})
      : options_(options) {}

  // A running call. The destructor of the permit ends it.
  struct Leave {
    std::string client;
    void operator()(CallLimiter* limiter) const { limiter->Exit(client); }
  };
  using Permit = std::unique_ptr<CallLimiter, Leave>;

  // Whether there is a limit per client. If not, Enter() ignores the client.
  bool limits_clients() const { return options_.calls_per_client > 0; }

  // Counts a call of a client. Returns UNAVAILABLE after CloseAndWait(), and
  // RESOURCE_EXHAUSTED with a RetryInfo if too many calls are running.
  absl::StatusOr<Permit> Enter(const std::string& client);

  // The number of running calls.
  uint64_t under_way() const;

  // Refuses new calls and waits until the running ones have ended. Returns
  // false if some are still running after `deadline`.
  bool CloseAndWait(std::chrono::milliseconds deadline);

 private:
  // This bit of state_ is set when the limiter is closed; the other bits are
  // the number of running calls.
  static constexpr uint64_t kClosed = uint64_t{1} << 63;

  void Exit(const std::string& client);
  absl::Status Count();
  // Returns false if the client has too many calls.
  bool CountForClient(const std::string& client);
  void Uncount();

  const CallLimiterOptions options_;
  std::atomic<uint64_t> state_ = 0;
  Mutex mutex_;
  ConditionVariable empty_;
  // Empty unless there is a limit per client.
  std::map<std::string, uint64_t> calls_by_client_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_ADMISSION_CALL_LIMITER_H_
