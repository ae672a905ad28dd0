// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_RPC_UNARY_H_
#define LMSERVE_SERVER_RPC_UNARY_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <optional>

#include "absl/status/status.h"
#include "server/call/call.h"
#include "server/call/task.h"
#include "server/rpc/grpc_call.h"
#include "server/rpc/grpc_status.h"
#include "server/rpc/wire.h"
#include "server/transport/call_interceptor.h"
#include "server/transport/exchange.h"

namespace lmserve {

// A unary call. Frees itself when the client has received the response or is
// gone.
class UnaryReactor final : public grpc::ServerUnaryReactor {
 public:
  // The context must outlive OnDone().
  UnaryReactor(grpc::CallbackServerContext& context, Priority priority)
      : call_(context, priority) {}

  GrpcCall& call() { return call_; }

  // Reserves what a response of this many bytes needs until the client has
  // received it. To be called once at most, right before the response is
  // serialized and sent.
  const absl::Status& BeginWrite(const CallInterceptor& interceptor,
                                 size_t bytes) {
    return pending_write_.emplace(interceptor, call_, bytes).status();
  }

 private:
  void OnDone() override { delete this; }

  // OnDone() is too short to be worth another thread, which would cost a cheap
  // call a tenth of its time. gRPC does the same for its DefaultReactor().
  bool InternalInlineable() override { return true; }

  GrpcCall call_;
  std::optional<PendingWrite> pending_write_;
};

// Answers a unary call whose request and response are bytes. `answer` is
// Task<absl::Status>(Call&, const Request&, Response*); it is not called if the
// interceptor refuses the call or the request cannot be parsed. `in`, `out`,
// the interceptor and the reactor must last until the reactor's OnDone().
template <typename Request, typename Response, typename Answer>
DetachedTask AnswerUnary(const CallInterceptor& interceptor,
                         absl::string_view method, Role needed,
                         const grpc::ByteBuffer& in, grpc::ByteBuffer* out,
                         UnaryReactor* reactor, Answer answer) {
  CallScope scope(interceptor, reactor->call(), method, needed);
  absl::Status status = scope.status();
  if (status.ok()) {
    Exchange<Request, Response> exchange(interceptor.request_bytes());
    status = ReadRequest(in, &exchange.reader(), exchange.mutable_request());
    if (status.ok()) {
      status = co_await answer(reactor->call(), exchange.request(),
                               exchange.response());
    }
    if (status.ok()) {
      status =
          reactor->BeginWrite(interceptor, exchange.response()->ByteSizeLong());
    }
    if (status.ok()) SerializeMeasured(*exchange.response(), out);
  }
  scope.Leave(status);
  reactor->Finish(ToGrpcStatus(status));
}

}  // namespace lmserve

#endif  // LMSERVE_SERVER_RPC_UNARY_H_
