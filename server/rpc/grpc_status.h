// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_RPC_GRPC_STATUS_H_
#define LMSERVE_SERVER_RPC_GRPC_STATUS_H_

#include "absl/status/status.h"
#include "grpcpp/support/status.h"

namespace lmserve {

// Returns the same status for gRPC: same code, same message, and the payloads
// as details (google.rpc.Status). The message is made Printable(), with at most
// 2 KiB.
grpc::Status ToGrpcStatus(const absl::Status& status);

}  // namespace lmserve

#endif  // LMSERVE_SERVER_RPC_GRPC_STATUS_H_
