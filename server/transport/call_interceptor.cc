// SPDX-License-Identifier: Apache-2.0
#include "server/transport/call_interceptor.h"

#include <string>
#include <utility>

#include "server/call/status.h"

namespace lmserve {
namespace {

// Returns the status for the log: of calls that the server itself cancelled,
// the transport knows only that they are cancelled.
absl::Status Explained(const TransportCall& call, const absl::Status& status) {
  if (status.code() != absl::StatusCode::kCancelled) return status;
  switch (call.cancel_reason()) {
    case CancelReason::kStalled:
      return absl::CancelledError("the client did not read in time");
    case CancelReason::kRevoked:
      return absl::CancelledError("the token of the client was revoked");
    case CancelReason::kNone:
      break;
  }
  return status;
}

// Returns null if the call is not traced.
std::unique_ptr<TracedCall> BeginTrace(const Tracer* tracer,
                                       const TransportCall& call) {
  if (tracer == nullptr) return nullptr;
  auto trace = tracer->Begin(call.JoinedHeader(kTraceParentHeader));
  if (trace == nullptr) return nullptr;
  trace->SetTraceState(call.JoinedHeader(kTraceStateHeader));
  call.SetTrace(trace->parts());
  return trace;
}

}  // namespace

absl::Status CallInterceptor::CheckToken(const TransportCall& call,
                                         Role needed) const {
  if (authenticator_ == nullptr) return absl::OkStatus();
  return authenticator_->Check(call.authorization(), needed);
}

absl::StatusOr<CallLimiter::Permit> CallInterceptor::Admit(
    const TransportCall& call, Role needed) const {
  absl::Status status = CheckToken(call, needed);
  if (!status.ok()) return status;
  return limiter_.Enter(limiter_.limits_clients() ? call.client() : "");
}

CallScope::CallScope(const CallInterceptor& interceptor,
                     const TransportCall& call, absl::string_view method,
                     Role needed)
    : interceptor_(interceptor),
      call_(call),
      needed_(needed),
      method_(interceptor.metrics_.OnCallStarted(method)),
      trace_(BeginTrace(interceptor.tracer_, call)),
      start_(std::chrono::steady_clock::now()),
      permit_(interceptor.Admit(call, needed)) {
  call.ObserveShutdown(interceptor.shutdown_.is_raised());
}

RequestLog::Caller CallScope::Caller() const {
  return {
      .address = call_.client(),
      .token = interceptor_.authenticator_ == nullptr
                   ? ""
                   : interceptor_.authenticator_->NameOf(call_.authorization()),
      .request_id = std::string(call_.request_id()),
      .trace_parent = std::string(call_.trace_parent()),
      .trace_id = trace_ == nullptr ? "" : ToHex(trace_->trace_id()),
      .span_id = trace_ == nullptr ? "" : ToHex(trace_->span_id())};
}

double CallScope::seconds() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() -
                                       start_)
      .count();
}

void CallScope::WatchToken(std::function<void()> on_revoked) {
  if (interceptor_.authenticator_ == nullptr) return;
  token_.emplace(*interceptor_.authenticator_, call_.authorization(), needed_,
                 std::move(on_revoked));
}

void CallScope::WatchShutdown(std::function<void()> on_shutdown) {
  end_.emplace(interceptor_.shutdown_, std::move(on_shutdown));
}

absl::Status CallScope::CheckContinues() const {
  if (interceptor_.shutdown_.is_raised()) return ShuttingDown();
  return token_.has_value() ? token_->Check() : absl::OkStatus();
}

void CallScope::Leave(const absl::Status& status) {
  end_.reset();
  token_.reset();
  const double seconds = this->seconds();
  interceptor_.metrics_.OnCallEnded({.method = method_,
                                     .code = status.code(),
                                     .seconds = seconds,
                                     .was_computed = call_.compute_seconds > 0,
                                     .may_retry = MayRetry(status)});
  interceptor_.log_.Write({.method = method_.name,
                           .is_admin = needed_ == Role::kAdmin,
                           .model = call_.model_name,
                           .version = call_.model_version,
                           .caller = [this] { return Caller(); },
                           .status = Explained(call_, status),
                           .seconds = seconds,
                           .queue_seconds = call_.queue_seconds,
                           .compute_seconds = call_.compute_seconds});
  if (trace_ != nullptr) EndTrace(status);
  if (permit_.ok()) permit_->reset();
}

void CallScope::EndTrace(const absl::Status& status) {
  call_.SetTrace(nullptr);
  const absl::Status explained = Explained(call_, status);
  const TransportCall::HttpRequestLine line = call_.http_request_line(status);
  interceptor_.tracer_->End(*trace_, {.name = method_.path,
                                      .model = call_.model_name,
                                      .version = call_.model_version,
                                      .request_id = call_.request_id(),
                                      .status = explained,
                                      .http_method = line.method,
                                      .http_path = line.path,
                                      .http_code = line.code});
}

}  // namespace lmserve
