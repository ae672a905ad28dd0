#ifndef LMSERVE_SERVER_UNARY_H_
#define LMSERVE_SERVER_UNARY_H_

#include <google/protobuf/arena.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include "absl/status/status.h"
#include "server/call_gate.h"
#include "server/errors.h"
#include "server/wire.h"

namespace lmserve {

// Parses a request, lets `handle` answer it, and serialises the answer; the
// messages live in an arena meanwhile.
template <typename Request, typename Response, typename Handle>
absl::Status AnswerBytes(const grpc::ByteBuffer& in, grpc::ByteBuffer* out,
                         Handle handle) {
  alignas(8) char block[4096];
  google::protobuf::ArenaOptions options;
  options.initial_block = block;
  options.initial_block_size = sizeof(block);
  google::protobuf::Arena arena(options);
  auto* request = google::protobuf::Arena::CreateMessage<Request>(&arena);
  auto* response = google::protobuf::Arena::CreateMessage<Response>(&arena);
  absl::Status status = ParseMessage(in, request);
  if (status.ok()) status = handle(*request, response);
  if (status.ok()) SerializeMessage(*response, out);
  return status;
}

// A unary call on raw bytes, if the gate lets it in: `handle` is
// absl::Status(const Request&, Response*).
template <typename Request, typename Response, typename Handle>
grpc::ServerUnaryReactor* AnswerUnary(CallGate& gate,
                                      grpc::CallbackServerContext* context,
                                      const grpc::ByteBuffer& in,
                                      grpc::ByteBuffer* out, Handle handle) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  const CallGate::Pass pass = gate.Enter();
  reactor->Finish(ToGrpcStatus(
      pass == nullptr ? ShuttingDown()
                      : AnswerBytes<Request, Response>(in, out, handle)));
  return reactor;
}

}  // namespace lmserve

#endif  // LMSERVE_SERVER_UNARY_H_
