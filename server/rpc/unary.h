#ifndef LMSERVE_SERVER_RPC_UNARY_H_
#define LMSERVE_SERVER_RPC_UNARY_H_

#include <google/protobuf/arena.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <optional>

#include "absl/status/status.h"
#include "server/admission/budget.h"
#include "server/call/call.h"
#include "server/call/task.h"
#include "server/rpc/call_interceptor.h"
#include "server/rpc/wire.h"

namespace lmserve {

// A request and its answer, in an arena; the request's bytes count against a
// budget.
template <typename Request, typename Response>
class Exchange {
 public:
  explicit Exchange(Budget& request_bytes)
      : reservation_(request_bytes), arena_(Options(block_, sizeof(block_))) {
    request_ = google::protobuf::Arena::CreateMessage<Request>(&arena_);
    response_ = google::protobuf::Arena::CreateMessage<Response>(&arena_);
  }

  // Reads the request from what came.
  absl::Status Parse(const grpc::ByteBuffer& in) {
    absl::Status status = reservation_.Resize("request bytes", in.Length());
    if (status.ok() && in.Length() > kLarge) {
      status = reservation_.Resize("request bytes, in memory",
                                   EstimateMemory(*Request::descriptor(), in));
    }
    if (status.ok()) status = ParseMessage(in, request_);
    return status;
  }

  const Request& request() const { return *request_; }
  Response* response() { return response_; }

  // Writes the answer for the wire.
  void Serialize(grpc::ByteBuffer* out) const {
    SerializeMessage(*response_, out);
  }

 private:
  // What a request takes in memory, which may be a hundred times its length, is
  // looked at from here on: a look costs some of the time that parsing does.
  static constexpr size_t kLarge = 4 << 10;

  static google::protobuf::ArenaOptions Options(char* block, size_t size) {
    google::protobuf::ArenaOptions options;
    options.initial_block = block;
    options.initial_block_size = size;
    return options;
  }

  // Holds a short text and its score; and a call's coroutine then is as small
  // as malloc still keeps at hand for the next.
  static constexpr size_t kBlock = 640;

  Budget::Reservation reservation_;
  alignas(8) char block_[kBlock];
  google::protobuf::Arena arena_;
  Request* request_;
  Response* response_;
};

// The end of a unary call. Frees itself once the client has what it was
// answered, or is gone.
class UnaryReactor final : public grpc::ServerUnaryReactor {
 public:
  // Once, at the end: makes ready to send an answer of so many bytes.
  const absl::Status& Prepare(const CallInterceptor& interceptor,
                              const grpc::CallbackServerContext& context,
                              size_t bytes) {
    return pending_write_.emplace(interceptor, context, bytes).status();
  }

 private:
  void OnDone() override { delete this; }

  // The end is too short to be worth another thread, which would cost a cheap
  // call a tenth of its time; so gRPC has it with its own DefaultReactor().
  bool InternalInlineable() override { return true; }

  std::optional<CallInterceptor::PendingWrite> pending_write_;
};

// Answers a unary call on raw bytes, if the reception lets it in: `answer` is
// Task<absl::Status>(Call&, const Request&, Response*).
template <typename Request, typename Response, typename Answer>
Detached AnswerUnary(const CallInterceptor& interceptor,
                     absl::string_view method, Role needed,
                     const grpc::CallbackServerContext& context,
                     const grpc::ByteBuffer& in, grpc::ByteBuffer* out,
                     UnaryReactor* reactor, Answer answer) {
  CallInterceptor::CallScope scope = interceptor.Enter(context, method, needed);
  absl::Status status = scope.status();
  GrpcCall call(context, Priority::kInteractive);
  if (status.ok()) {
    Exchange<Request, Response> exchange(interceptor.request_bytes());
    status = exchange.Parse(in);
    if (status.ok()) {
      status = co_await answer(call, exchange.request(), exchange.response());
    }
    if (status.ok()) exchange.Serialize(out);
  }
  if (status.ok())
    status = reactor->Prepare(interceptor, context, out->Length());
  reactor->Finish(scope.Leave(call, status));
}

}  // namespace lmserve

#endif  // LMSERVE_SERVER_RPC_UNARY_H_
