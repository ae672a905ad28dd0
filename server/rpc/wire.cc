// SPDX-License-Identifier: Apache-2.0
#include "server/rpc/wire.h"

#include <grpcpp/support/slice.h>

#include <vector>

#include "absl/strings/string_view.h"
#include "server/transport/wire_format.h"

namespace lmserve {
namespace {

absl::string_view View(const grpc::Slice& slice) {
  return {reinterpret_cast<const char*>(slice.begin()), slice.size()};
}

}  // namespace

absl::Status ReadRequest(const grpc::ByteBuffer& bytes, RequestReader* reader,
                         google::protobuf::Message* request) {
  if (!bytes.Valid()) {
    return absl::CancelledError("the client has sent no complete message");
  }
  if (grpc::Slice slice; bytes.TrySingleSlice(&slice).ok()) {
    const absl::string_view piece = View(slice);
    return reader->Read({&piece, 1}, request);
  }
  std::vector<grpc::Slice> slices;
  if (!bytes.Dump(&slices).ok()) {
    return absl::InternalError("gRPC cannot return the bytes of a message");
  }
  std::vector<absl::string_view> pieces;
  for (const grpc::Slice& slice : slices) pieces.push_back(View(slice));
  return reader->Read(pieces, request);
}

void SerializeMessage(const google::protobuf::Message& message,
                      grpc::ByteBuffer* bytes) {
  (void)message.ByteSizeLong();
  SerializeMeasured(message, bytes);
}

void SerializeMeasured(const google::protobuf::Message& message,
                       grpc::ByteBuffer* bytes) {
  const grpc::Slice slice(message.GetCachedSize());
  message.SerializeWithCachedSizesToArray(const_cast<uint8_t*>(slice.begin()));
  grpc::ByteBuffer serialized(&slice, 1);
  bytes->Swap(&serialized);
}

}  // namespace lmserve
