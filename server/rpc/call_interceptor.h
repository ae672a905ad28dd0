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
class Reception {
 public:
  // What it is made with must outlive it. Without an authenticator everybody
  // may do everything.
  Reception(Authenticator* authenticator, CallGate& gate, Budgets& budgets,
            StallWatch& stalls, Metrics& metrics, const RequestLog& log)
      : authenticator_(authenticator),
        gate_(gate),
        budgets_(budgets),
        stalls_(stalls),
        metrics_(metrics),
        log_(log) {}

  Budget& request_bytes() const { return budgets_.request_bytes; }

  // So many bytes on their way to a client, as long as it lives: a part of the
  // budget of answers, and cancelled where the client does not take them.
  class Sending {
   public:
    Sending(const Reception& reception,
            const grpc::CallbackServerContext& context, size_t bytes)
        : share_(reception.budgets_.answer_bytes),
          status_(share_.Resize("answer bytes", bytes)),
          watch_(reception.stalls_, context) {}

    // OK, or why they may not be sent.
    const absl::Status& status() const { return status_; }

   private:
    Budget::Share share_;
    const absl::Status status_;
    StallWatch::Watch watch_;
  };

  Metrics& metrics() const { return metrics_; }

  // A call under way, until it leaves.
  class Visit {
   public:
    // OK, or why the call is refused.
    const absl::Status& status() const { return pass_.status(); }

    // Since it came.
    double seconds() const;

    // To be called once, at the end, right before the client is told what it
    // returns: the call is under way no longer, and its place is free.
    grpc::Status Leave(const Call& call, const absl::Status& status);

   private:
    friend class Reception;

    Visit(const Reception& reception,
          const grpc::CallbackServerContext& context, absl::string_view method,
          Role needed);

    const Reception& reception_;
    const grpc::CallbackServerContext& context_;
    Metrics::OfMethod& method_;
    const std::chrono::steady_clock::time_point start_;
    absl::StatusOr<CallGate::Pass> pass_;
  };

  // Takes a call of a method such as "Score". The context must outlive the
  // visit.
  Visit Enter(const grpc::CallbackServerContext& context,
              absl::string_view method, Role needed = Role::kRead) const {
    return Visit(*this, context, method, needed);
  }

 private:
  absl::StatusOr<CallGate::Pass> LetIn(
      const grpc::CallbackServerContext& context, Role needed) const;

  Authenticator* const authenticator_;
  CallGate& gate_;
  Budgets& budgets_;
  StallWatch& stalls_;
  Metrics& metrics_;
  const RequestLog& log_;
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_RPC_CALL_INTERCEPTOR_H_
