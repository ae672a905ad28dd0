// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_RPC_UNARY_H_
#define LMSERVE_SERVER_RPC_UNARY_H_

#include <google/protobuf/arena.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <optional>

#include "absl/status/status.h"
#include "server/call/call.h"
#include "server/call/task.h"
#include "server/rpc/grpc_call.h"
#include "server/rpc/grpc_status.h"
#include "server/rpc/request_reader.h"
#include "server/rpc/wire.h"
#include "server/transport/call_interceptor.h"

namespace lmserve {

// A request and its response, in one arena. The request's memory counts against
// a budget.
template <typename Request, typename Response>
class Exchange {
 public:
  explicit Exchange(Budget& request_bytes)
      : reader_(request_bytes), arena_(Options(block_, sizeof(block_))) {
    request_ = google::protobuf::Arena::CreateMessage<Request>(&arena_);
    response_ = google::protobuf::Arena::CreateMessage<Response>(&arena_);
  }

  // Parses the request.
  absl::Status Parse(const grpc::ByteBuffer& in) {
    return reader_.Read(in, request_);
  }

  const Request& request() const { return *request_; }
  Response* response() { return response_; }

  // The bytes of the response, which are to be reserved before Serialize().
  size_t response_bytes() const { return response_->ByteSizeLong(); }

  // Serializes the response. REQUIRES: it has not changed since
  // response_bytes().
  void Serialize(grpc::ByteBuffer* out) const {
    SerializeMeasured(*response_, out);
  }

 private:
  static google::protobuf::ArenaOptions Options(char* block, size_t size) {
    google::protobuf::ArenaOptions options;
    options.initial_block = block;
    options.initial_block_size = size;
    return options;
  }

  // Enough for a short text and its score, and so small that malloc keeps the
  // memory of the call's coroutine in its thread cache.
  static constexpr size_t kBlock = 640;

  RequestReader reader_;
  alignas(8) char block_[kBlock];
  google::protobuf::Arena arena_;
  Request* request_;
  Response* response_;
};

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
    status = exchange.Parse(in);
    if (status.ok()) {
      status = co_await answer(reactor->call(), exchange.request(),
                               exchange.response());
    }
    if (status.ok()) {
      status = reactor->BeginWrite(interceptor, exchange.response_bytes());
    }
    if (status.ok()) exchange.Serialize(out);
  }
  scope.Leave(status);
  reactor->Finish(ToGrpcStatus(status));
}

}  // namespace lmserve

#endif  // LMSERVE_SERVER_RPC_UNARY_H_
