// SPDX-License-Identifier: Apache-2.0
#include "server/transport/call_interceptor.h"

#include "server/call/status.h"

namespace lmserve {

absl::StatusOr<CallLimiter::Permit> CallInterceptor::Admit(
    const TransportCall& call, Role needed) const {
  if (authenticator_ != nullptr) {
    absl::Status status = authenticator_->Check(call.authorization(), needed);
    if (!status.ok()) return status;
  }
  return limiter_.Enter(limiter_.limits_clients() ? call.client() : "");
}

CallScope::CallScope(const CallInterceptor& interceptor,
                     const TransportCall& call, absl::string_view method,
                     Role needed)
    : interceptor_(interceptor),
      call_(call),
      method_(interceptor.metrics_.OnCallStarted(method)),
      start_(std::chrono::steady_clock::now()),
      permit_(interceptor.Admit(call, needed)) {}

double CallScope::seconds() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() -
                                       start_)
      .count();
}

void CallScope::Leave(const absl::Status& status) {
  const double seconds = this->seconds();
  interceptor_.metrics_.OnCallEnded({.method = method_,
                                     .code = status.code(),
                                     .seconds = seconds,
                                     .was_computed = call_.compute_seconds > 0,
                                     .may_retry = MayRetry(status)});
  interceptor_.log_.Write({.method = method_.name,
                           .client = [this] { return call_.client(); },
                           .status = status,
                           .seconds = seconds,
                           .queue_seconds = call_.queue_seconds,
                           .compute_seconds = call_.compute_seconds});
  if (permit_.ok()) permit_->reset();
}

}  // namespace lmserve
