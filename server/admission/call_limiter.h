#ifndef LMSERVE_SERVER_ADMISSION_CALL_LIMITER_H_
#define LMSERVE_SERVER_ADMISSION_CALL_LIMITER_H_

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "absl/status/statusor.h"

namespace lmserve {

struct CallLimiterOptions {
  uint64_t calls = 10'000;        // under way at a time, streams included
  uint64_t calls_per_client = 0;  // of one address; 0: as many as all
};

// Counts the calls under way, lets in no more than so many and, once it is
// closed, none: what a server needs to be bounded, and to go down without
// cutting an answer short. Any number of threads may use one at a time; it must
// outlive the passes.
class CallLimiter {
 public:
  explicit CallLimiter(const CallLimiterOptions& options = {})
      : options_(options) {}

  // A call under way, as long as it lives.
  struct Leave {
    std::string client;
    void operator()(CallLimiter* limiter) const { limiter->Exit(client); }
  };
  using Permit = std::unique_ptr<CallLimiter, Leave>;

  // Whether clients are told apart; where not, any name does.
  bool limits_clients() const { return options_.calls_per_client > 0; }

  // Lets a client's call in, or fails: UNAVAILABLE once it is closed,
  // RESOURCE_EXHAUSTED with a RetryInfo where there are too many.
  absl::StatusOr<Permit> Enter(const std::string& client);

  // Calls under way.
  uint64_t under_way() const;

  // Refuses new calls, and waits for those under way. False where some were
  // left when the time was up.
  bool CloseAndWait(std::chrono::milliseconds deadline);

 private:
  // Set in state_ once the gate is closed; the rest is the calls under way.
  static constexpr uint64_t kClosed = uint64_t{1} << 63;

  void Exit(const std::string& client);
  // Of all calls, and of one client's; false where it has too many.
  absl::Status Count();
  bool CountOf(const std::string& client);
  void Uncount();

  const CallLimiterOptions options_;
  std::atomic<uint64_t> state_ = 0;
  std::mutex mutex_;
  std::condition_variable empty_;
  // Where they are limited; guarded by mutex_.
  std::map<std::string, uint64_t> by_client_;
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_ADMISSION_CALL_LIMITER_H_
