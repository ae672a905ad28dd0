// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_CALL_CALL_H_
#define LMSERVE_SERVER_CALL_CALL_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "server/call/call_trace.h"
#include "server/call/status.h"

namespace lmserve {

// The work of interactive calls, for which a person or a decoder waits,
// precedes the work of bulk calls, such as the scoring of a corpus.
enum class Priority { kInteractive, kBulk };

// Parses "interactive" or "bulk". Returns `otherwise` for any other name.
inline Priority ParsePriority(absl::string_view name, Priority otherwise) {
  if (name == "interactive") return Priority::kInteractive;
  if (name == "bulk") return Priority::kBulk;
  return otherwise;
}

// A client's call, as handlers and the batcher see it. For one thread at a
// time, except where a member says otherwise.
class Call {
 public:
  // Steady, so that a change of the wall clock ends no call.
  using Clock = std::chrono::steady_clock;

  explicit Call(Priority priority = Priority::kInteractive,
                Clock::time_point deadline = Clock::time_point::max())
      : priority_(priority), deadline_(deadline) {}
  virtual ~Call() = default;
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  // Whether nobody waits for the call any more: the client has cancelled it,
  // its connection has closed, or the server has cut it off. Thread-safe.
  virtual bool IsCancelled() const { return false; }

  virtual Priority priority() const { return priority_; }

  // The client, as far as clients share the server fairly: the calls of a group
  // take turns as one. Valid as long as the call.
  virtual const std::string& client_group() const { return client_group_; }

  Clock::time_point deadline() const { return deadline_; }

  // Returns CANCELLED or DEADLINE_EXCEEDED if nobody waits for the answer any
  // more, and UNAVAILABLE if the call must end because the server does.
  absl::Status CheckWanted() const {
    if (IsCancelled()) return Cancelled();
    if (shutdown_ != nullptr && *shutdown_) return ShuttingDown();
    if (deadline_ != Clock::time_point::max() && Clock::now() > deadline_) {
      return absl::DeadlineExceededError("the deadline has passed");
    }
    return absl::OkStatus();
  }

  // Sets what tells the call that it must end. Must be called before other
  // threads use the call.
  void ObserveShutdown(const std::atomic<bool>& is_raised) const {
    shutdown_ = &is_raised;
  }

  // Sets where the parts of the call are written down; null, as at first: the
  // call is not traced. Must be called before other threads use the call, or
  // after it.
  void SetTrace(CallTrace* trace) const { trace_ = trace; }
  CallTrace* trace() const { return trace_; }

  // The error of a call for which IsCancelled() holds, or whose messages can no
  // longer be sent. A transport does not say which of the reasons it was.
  static absl::Status Cancelled() {
    return absl::CancelledError(
        "the client has cancelled, or its connection has closed");
  }

  // Whether some work of the current request has been queued. A full queue
  // refuses only the first work of a request, not the rest.
  bool is_admitted() const { return admitted_; }
  void Admit() { admitted_ = true; }

  // Begins the next request of a stream. Requests of a stream wait for room in
  // a full queue, because a refusal would end the stream.
  void BeginRequest() {
    admitted_ = false;
    waits_for_room = true;
    turn_seconds = 0;
  }
  bool waits_for_room = false;

  // The time that models have worked for the current request on its caller's
  // thread since it was last in the queue: other calls of that thread wait for
  // it.
  double turn_seconds = 0;

  // The time that the call has spent in the queue and on models so far.
  double queue_seconds = 0;
  double compute_seconds = 0;

  // The model that answers the call, for the log: the name and the version of
  // the last one that was found. If it was not found, the name that the client
  // asked for, Printable(), and 0. Empty and 0 before.
  std::string model_name;
  uint64_t model_version = 0;

 private:
  const Priority priority_;
  const Clock::time_point deadline_;
  const std::string client_group_;
  bool admitted_ = false;
  mutable const std::atomic<bool>* shutdown_ = nullptr;  // null: none
  mutable CallTrace* trace_ = nullptr;
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_CALL_CALL_H_
