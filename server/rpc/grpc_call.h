// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_RPC_GRPC_CALL_H_
#define LMSERVE_SERVER_RPC_GRPC_CALL_H_

#include <grpcpp/server_context.h>

#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "server/transport/transport_call.h"

namespace lmserve {

// A call of gRPC. The context must outlive it.
class GrpcCall final : public TransportCall {
 public:
  // `priority` is the one of the method; the metadata `lm-priority`, with the
  // value interactive or bulk, overrides it. Returns the identifying headers of
  // the call to the client, as initial metadata.
  GrpcCall(grpc::CallbackServerContext& context, Priority priority);

  bool IsCancelled() const override { return context_.IsCancelled(); }
  Priority priority() const override;
  std::string client() const override;
  absl::string_view Header(absl::string_view name) const override;
  std::string JoinedHeader(absl::string_view name) const override;

 private:
  static Clock::time_point Deadline(const grpc::CallbackServerContext& context);

  void DoCancel() const override { context_.TryCancel(); }

  const grpc::CallbackServerContext& context_;
  // Set by the first call of priority(). The look-up is slow, and calls that
  // n-gram models answer at once do not need it.
  mutable std::optional<Priority> priority_;
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_RPC_GRPC_CALL_H_
