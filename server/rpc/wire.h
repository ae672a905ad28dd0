#ifndef LMSERVE_SERVER_RPC_WIRE_H_
#define LMSERVE_SERVER_RPC_WIRE_H_

#include <google/protobuf/message.h>
#include <grpcpp/support/byte_buffer.h>

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace lmserve {

// Messages as they come over the wire. Parsed here rather than by gRPC, so that
// what is wrong with a request gets a clear answer, and an arena can hold it.

// Parses a request. INVALID_ARGUMENT where the bytes are no such message; where
// a string in it is not UTF-8 the error names the field and the byte.
absl::Status ParseMessage(const grpc::ByteBuffer& bytes,
                          google::protobuf::Message* message);

// About the bytes that a message will take in memory when it is parsed, and
// what is made to answer it, told before: many small parts take many times
// their length.
uint64_t EstimateMemory(const google::protobuf::Descriptor& type,
                        const grpc::ByteBuffer& bytes);

// Where a message's first string that is not UTF-8 stands and the offset of the
// byte, as in "texts[2].text: invalid UTF-8 at byte 5"; empty where there is
// none, or the bytes are no message at all.
std::string FindInvalidString(const google::protobuf::Descriptor& type,
                              absl::string_view bytes);

void SerializeMessage(const google::protobuf::Message& message,
                      grpc::ByteBuffer* bytes);

}  // namespace lmserve

#endif  // LMSERVE_SERVER_RPC_WIRE_H_
