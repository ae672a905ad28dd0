// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_TRANSPORT_CALL_INTERCEPTOR_H_
#define LMSERVE_SERVER_TRANSPORT_CALL_INTERCEPTOR_H_

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/admission/authenticator.h"
#include "server/admission/budget.h"
#include "server/admission/call_limiter.h"
#include "server/telemetry/metrics.h"
#include "server/telemetry/request_log.h"
#include "server/telemetry/tracer.h"
#include "server/transport/shutdown_signal.h"
#include "server/transport/transport_call.h"
#include "server/transport/write_watchdog.h"

namespace lmserve {

// What every call of every transport passes at its beginning and its end: the
// tokens, the limits, the metrics, the log and the traces. A transport makes a
// CallScope for each call and a PendingWrite for each message that it sends.
// Thread-safe.
class CallInterceptor {
 public:
  // All arguments must outlive it. Without an authenticator (null) every client
  // may call every method; without a tracer no call is traced.
  CallInterceptor(Authenticator* authenticator, ShutdownSignal& shutdown,
                  CallLimiter& limiter, Budgets& budgets,
                  WriteWatchdog& watchdog, Metrics& metrics,
                  const RequestLog& log, const Tracer* tracer = nullptr)
      : authenticator_(authenticator),
        shutdown_(shutdown),
        limiter_(limiter),
        budgets_(budgets),
        watchdog_(watchdog),
        metrics_(metrics),
        log_(log),
        tracer_(tracer) {}

  // Checks the token of what is no call of a method, such as a look at the
  // metrics. OK, UNAUTHENTICATED or PERMISSION_DENIED.
  absl::Status CheckToken(const TransportCall& call, Role needed) const;

  Budget& request_bytes() const { return budgets_.request_bytes; }
  Metrics& metrics() const { return metrics_; }

 private:
  friend class CallScope;
  friend class PendingWrite;

  // Returns an error if the token or the number of calls does not permit the
  // call.
  absl::StatusOr<CallLimiter::Permit> Admit(const TransportCall& call,
                                            Role needed) const;

  Authenticator* const authenticator_;
  ShutdownSignal& shutdown_;
  CallLimiter& limiter_;
  Budgets& budgets_;
  WriteWatchdog& watchdog_;
  Metrics& metrics_;
  const RequestLog& log_;
  const Tracer* const tracer_;
};

// A call from its beginning to its end. Counts in the limits and the metrics.
// For one thread at a time; interceptor and call must outlive it.
class CallScope {
 public:
  // Begins a call of `method`, such as "Score", which requires the role
  // `needed`. REQUIRES: the API has the method.
  CallScope(const CallInterceptor& interceptor, const TransportCall& call,
            absl::string_view method, Role needed = Role::kRead);

  // OK, or why the call is refused: UNAUTHENTICATED, PERMISSION_DENIED,
  // RESOURCE_EXHAUSTED or UNAVAILABLE. The transport must then end the call
  // with this status.
  const absl::Status& status() const { return permit_.status(); }

  // Watches the token of a stream, which may last longer than the token:
  // `on_revoked` is called as by Authenticator::Watch until Leave(). REQUIRES:
  // status() is OK.
  void WatchToken(std::function<void()> on_revoked);

  // Watches the end of the server, for a stream: `on_shutdown` is called as by
  // ShutdownSignal::Watch until Leave().
  void WatchShutdown(std::function<void()> on_shutdown);

  // OK, or why a stream must end: the server ends, or the watched token is no
  // longer valid.
  absl::Status CheckContinues() const;

  // Seconds since the call began.
  double seconds() const;

  // Ends the call: counts, logs and traces it, and releases its place in the
  // limits.
  // Must be called once, right before the client gets `status`, and also for a
  // refused call.
  void Leave(const absl::Status& status);

 private:
  RequestLog::Caller Caller() const;
  void EndTrace(const absl::Status& status);

  const CallInterceptor& interceptor_;
  const TransportCall& call_;
  const Role needed_;
  Metrics::MethodMetrics& method_;
  const std::unique_ptr<TracedCall> trace_;  // null: the call is not traced
  const std::chrono::steady_clock::time_point start_;
  absl::StatusOr<CallLimiter::Permit> permit_;
  std::optional<Authenticator::Watch> token_;
  std::optional<ShutdownSignal::Watch> end_;
};

// A message on its way to a client, as long as it lives. Its bytes count
// against the budget of answers, and the watchdog cancels the call if the
// client does not read it. Interceptor and call must outlive it.
class PendingWrite {
 public:
  PendingWrite(const CallInterceptor& interceptor, const TransportCall& call,
               size_t bytes)
      : reservation_(interceptor.budgets_.answer_bytes),
        status_(reservation_.Resize("answer bytes", bytes)),
        watch_(interceptor.watchdog_, call) {}

  // OK, or RESOURCE_EXHAUSTED if the message must not be sent.
  const absl::Status& status() const { return status_; }

 private:
  Budget::Reservation reservation_;
  const absl::Status status_;
  WriteWatchdog::Watch watch_;
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_TRANSPORT_CALL_INTERCEPTOR_H_
