// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_RPC_WIRE_H_
#define LMSERVE_SERVER_RPC_WIRE_H_

#include <google/protobuf/message.h>
#include <grpcpp/support/byte_buffer.h>

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace lmserve {

// Parsing and serialization of messages. The services do this themselves, not
// gRPC, so that clients get precise errors and requests can be in an arena.

// Parses a request. Returns INVALID_ARGUMENT if the bytes are not such a
// message. If a string in it is not UTF-8, the error names the field and the
// byte.
absl::Status ParseMessage(const grpc::ByteBuffer& bytes,
                          google::protobuf::Message* message);

// Estimates the bytes of memory that a message of this type, and the response
// to it, will take, without parsing it. A message with many small parts takes
// many times its length.
uint64_t EstimateMemory(const google::protobuf::Descriptor& type,
                        const grpc::ByteBuffer& bytes);

// Returns the position of the first string in a message that is not UTF-8, such
// as "texts[2].text: invalid UTF-8 at byte 5". Returns an empty string if there
// is none, or if the bytes are not a message.
std::string FindInvalidString(const google::protobuf::Descriptor& type,
                              absl::string_view bytes);

void SerializeMessage(const google::protobuf::Message& message,
                      grpc::ByteBuffer* bytes);

// Serializes a message whose ByteSizeLong() was called after its last change.
void SerializeMeasured(const google::protobuf::Message& message,
                       grpc::ByteBuffer* bytes);

}  // namespace lmserve

#endif  // LMSERVE_SERVER_RPC_WIRE_H_
