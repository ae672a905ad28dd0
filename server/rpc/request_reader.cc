// SPDX-License-Identifier: Apache-2.0
#include "server/rpc/request_reader.h"

#include "server/rpc/wire.h"

namespace lmserve {
namespace {

// A parsed request may take a hundred times the memory of its bytes. Smaller
// requests are not estimated, because the estimate costs about as much as the
// parsing, and they cannot take more than some hundred kilobytes.
constexpr size_t kMinEstimatedBytes = 4 << 10;

}  // namespace

absl::Status RequestReader::Read(const grpc::ByteBuffer& bytes,
                                 google::protobuf::Message* request) {
  if (!bytes.Valid()) {
    return absl::CancelledError("the client has sent no complete message");
  }
  absl::Status status = reservation_.Resize("request bytes", bytes.Length());
  if (status.ok() && bytes.Length() > kMinEstimatedBytes) {
    status =
        reservation_.Resize("request bytes, in memory",
                            EstimateMemory(*request->GetDescriptor(), bytes));
  }
  if (status.ok()) status = ParseMessage(bytes, request);
  return status;
}

void RequestReader::OnRequestFreed(const grpc::ByteBuffer& bytes) {
  // Cannot fail, because the reservation does not grow.
  (void)reservation_.Resize("request bytes", bytes.Length());
}

}  // namespace lmserve
