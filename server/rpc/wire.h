// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_RPC_WIRE_H_
#define LMSERVE_SERVER_RPC_WIRE_H_

#include <google/protobuf/message.h>
#include <grpcpp/support/byte_buffer.h>

#include "absl/status/status.h"
#include "server/transport/request_reader.h"

namespace lmserve {

// Messages in gRPC's buffers. The services parse and serialize them, not gRPC,
// so that clients get precise errors and requests can be in an arena.

// Reads a request as RequestReader::Read() does. Returns CANCELLED if there is
// no message, because the client abandoned the call before its message was
// complete.
absl::Status ReadRequest(const grpc::ByteBuffer& bytes, RequestReader* reader,
                         google::protobuf::Message* request);

void SerializeMessage(const google::protobuf::Message& message,
                      grpc::ByteBuffer* bytes);

// Serializes a message whose ByteSizeLong() was called after its last change.
void SerializeMeasured(const google::protobuf::Message& message,
                       grpc::ByteBuffer* bytes);

}  // namespace lmserve

#endif  // LMSERVE_SERVER_RPC_WIRE_H_
