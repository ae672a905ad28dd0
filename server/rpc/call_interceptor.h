#ifndef LMSERVE_SERVER_RPC_CALL_INTERCEPTOR_H_
#define LMSERVE_SERVER_RPC_CALL_INTERCEPTOR_H_

#include <grpcpp/server_context.h>

#include <chrono>
#include <optional>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "server/admission/authenticator.h"
#include "server/admission/budget.h"
#include "server/admission/call_limiter.h"
#include "server/call/call.h"
#include "server/rpc/write_watchdog.h"
#include "server/telemetry/metrics.h"
#include "server/telemetry/request_log.h"

namespace lmserve {

// A call of gRPC. What it brings as `lm-priority`, interactive or bulk, goes
// before the priority that its method has.
class GrpcCall final : public Call {
 public:
  GrpcCall(const grpc::CallbackServerContext& context, Priority priority)
      : Call(priority, context.deadline()), context_(context) {}

  bool IsCancelled() const override { return context_.IsCancelled(); }

  // Looked up when first asked, for gRPC takes its time; what is done at once,
  // as most is by models of look-ups, has no use for it.
  Priority priority() const override;

 private:
  const grpc::CallbackServerContext& context_;
  mutable std::optional<Priority> priority_;
};

// Where every call comes in and goes out: it is let in or refused, counted, and
// told to the log. Any number of threads may use one.
class CallInterceptor {
 public:
  // What it is made with must outlive it. Without an authenticator everybody
  // may do everything.
  CallInterceptor(Authenticator* authenticator, CallLimiter& limiter,
                  Budgets& budgets, WriteWatchdog& watchdog, Metrics& metrics,
                  const RequestLog& log)
      : authenticator_(authenticator),
        limiter_(limiter),
        budgets_(budgets),
        watchdog_(watchdog),
        metrics_(metrics),
        log_(log) {}

  Budget& request_bytes() const { return budgets_.request_bytes; }

  // So many bytes on their way to a client, as long as it lives: a part of the
  // budget of answers, and cancelled where the client does not take them.
  class PendingWrite {
   public:
    PendingWrite(const CallInterceptor& interceptor,
                 const grpc::CallbackServerContext& context, size_t bytes)
        : reservation_(interceptor.budgets_.answer_bytes),
          status_(reservation_.Resize("answer bytes", bytes)),
          watch_(interceptor.watchdog_, context) {}

    // OK, or why they may not be sent.
    const absl::Status& status() const { return status_; }

   private:
    Budget::Reservation reservation_;
    const absl::Status status_;
    WriteWatchdog::Watch watch_;
  };

  Metrics& metrics() const { return metrics_; }

  // A call under way, until it leaves.
  class CallScope {
   public:
    // OK, or why the call is refused.
    const absl::Status& status() const { return permit_.status(); }

    // Since it came.
    double seconds() const;

    // To be called once, at the end, right before the client is told what it
    // returns: the call is under way no longer, and its place is free.
    grpc::Status Leave(const Call& call, const absl::Status& status);

   private:
    friend class CallInterceptor;

    CallScope(const CallInterceptor& interceptor,
              const grpc::CallbackServerContext& context,
              absl::string_view method, Role needed);

    const CallInterceptor& interceptor_;
    const grpc::CallbackServerContext& context_;
    Metrics::OfMethod& method_;
    const std::chrono::steady_clock::time_point start_;
    absl::StatusOr<CallLimiter::Permit> permit_;
  };

  // Takes a call of a method such as "Score". The context must outlive the
  // visit.
  CallScope Enter(const grpc::CallbackServerContext& context,
                  absl::string_view method, Role needed = Role::kRead) const {
    return CallScope(*this, context, method, needed);
  }

 private:
  absl::StatusOr<CallLimiter::Permit> LetIn(
      const grpc::CallbackServerContext& context, Role needed) const;

  Authenticator* const authenticator_;
  CallLimiter& limiter_;
  Budgets& budgets_;
  WriteWatchdog& watchdog_;
  Metrics& metrics_;
  const RequestLog& log_;
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_RPC_CALL_INTERCEPTOR_H_
