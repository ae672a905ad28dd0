#include "server/rpc/call_interceptor.h"

#include <string>

#include "server/call/status.h"
#include "server/rpc/grpc_status.h"

namespace lmserve {
namespace {

// The client, less the port that it happens to have.
std::string Client(const grpc::CallbackServerContext& context) {
  const std::string peer = context.peer();
  if (peer.rfind("unix:", 0) == 0) return "unix";
  return peer.substr(0, peer.rfind(':'));
}

// What a call brings under a key; empty where it brings nothing.
absl::string_view Metadata(const grpc::CallbackServerContext& context,
                           const char* key) {
  const auto found = context.client_metadata().find(key);
  if (found == context.client_metadata().end()) return "";
  return {found->second.data(), found->second.size()};
}

}  // namespace

CallInterceptor::CallScope::CallScope(
    const CallInterceptor& interceptor,
    const grpc::CallbackServerContext& context, absl::string_view method,
    Role needed)
    : interceptor_(interceptor),
      context_(context),
      method_(interceptor.metrics_.OnCallStarted(method)),
      start_(std::chrono::steady_clock::now()),
      permit_(interceptor.LetIn(context, needed)) {}

absl::StatusOr<CallLimiter::Permit> CallInterceptor::LetIn(
    const grpc::CallbackServerContext& context, Role needed) const {
  if (authenticator_ != nullptr) {
    absl::Status status =
        authenticator_->Check(Metadata(context, "authorization"), needed);
    if (!status.ok()) return status;
  }
  return limiter_.Enter(limiter_.limits_clients() ? Client(context) : "");
}

Priority GrpcCall::priority() const {
  if (!priority_.has_value()) {
    priority_ =
        ParsePriority(Metadata(context_, "lm-priority"), Call::priority());
  }
  return *priority_;
}

double CallInterceptor::CallScope::seconds() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() -
                                       start_)
      .count();
}

grpc::Status CallInterceptor::CallScope::Leave(const Call& call,
                                               const absl::Status& status) {
  const double seconds = this->seconds();
  interceptor_.metrics_.OnCallEnded({.method = method_,
                                     .code = status.code(),
                                     .seconds = seconds,
                                     .was_computed = call.compute_seconds > 0,
                                     .may_retry = MayRetry(status)});
  interceptor_.log_.Write({.method = method_.name,
                           .client = [this] { return Client(context_); },
                           .status = status,
                           .seconds = seconds,
                           .queue_seconds = call.queue_seconds,
                           .compute_seconds = call.compute_seconds});
  if (permit_.ok()) permit_->reset();
  return ToGrpcStatus(status);
}

}  // namespace lmserve
