// SPDX-License-Identifier: Apache-2.0
#include "server/transport/request_reader.h"

namespace lmserve {
namespace {

// A parsed request may take a hundred times the memory of its bytes. Smaller
// requests are not estimated, because the estimate costs about as much as the
// parsing, and they cannot take more than some hundred kilobytes.
constexpr uint64_t kMinEstimatedBytes = 4 << 10;

}  // namespace

absl::Status RequestReader::Read(Pieces bytes,
                                 google::protobuf::Message* request) {
  const uint64_t size = TotalBytes(bytes);
  absl::Status status = Reserve(size);
  if (status.ok() && size > kMinEstimatedBytes) {
    status =
        reservation_.Resize("request bytes, in memory",
                            EstimateMemory(*request->GetDescriptor(), bytes));
  }
  if (status.ok()) status = ParseMessage(bytes, request);
  return status;
}

}  // namespace lmserve
