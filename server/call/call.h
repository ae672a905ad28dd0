#ifndef LMSERVE_SERVER_CALL_CALL_H_
#define LMSERVE_SERVER_CALL_CALL_H_

#include <chrono>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace lmserve {

// What is served first: people and decoders who wait, or corpora.
enum class Priority { kInteractive, kBulk };

// Of "interactive" and "bulk"; of anything else `otherwise`.
inline Priority ParsePriority(absl::string_view name, Priority otherwise) {
  if (name == "interactive") return Priority::kInteractive;
  if (name == "bulk") return Priority::kBulk;
  return otherwise;
}

// A client's call, as those see it that work for it. One thread at a time,
// but for what is said to be otherwise.
class Call {
 public:
  using Clock = std::chrono::system_clock;

  explicit Call(Priority priority = Priority::kInteractive,
                Clock::time_point deadline = Clock::time_point::max())
      : priority_(priority), deadline_(deadline) {}
  virtual ~Call() = default;
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  // Whether the client is gone, or no longer wants an answer. Any number of
  // threads may ask at a time.
  virtual bool IsCancelled() const { return false; }

  virtual Priority priority() const { return priority_; }

  // CANCELLED or DEADLINE_EXCEEDED where nobody waits for the answer any more.
  absl::Status CheckWanted() const {
    if (IsCancelled()) return absl::CancelledError("the client has cancelled");
    if (deadline_ != Clock::time_point::max() && Clock::now() > deadline_) {
      return absl::DeadlineExceededError("the deadline has passed");
    }
    return absl::OkStatus();
  }

  // A request whose first work was queued is seen through: only the first is
  // refused where the queue is full.
  bool is_admitted() const { return admitted_; }
  void Admit() { admitted_ = true; }

  // A stream's next request begins. That of a stream waits where another would
  // be refused, for a refusal would end the stream.
  void BeginRequest() {
    admitted_ = false;
    waits_for_room = true;
  }
  bool waits_for_room = false;

  // Where its time went so far, in seconds.
  double queue_seconds = 0;
  double compute_seconds = 0;

 private:
  const Priority priority_;
  const Clock::time_point deadline_;
  bool admitted_ = false;
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_CALL_CALL_H_
