// SPDX-License-Identifier: Apache-2.0
#include "server/rpc/grpc_call.h"

#include "server/connections/named_socket_pair.h"

namespace lmserve {

Priority GrpcCall::priority() const {
  if (!priority_.has_value()) {
    priority_ = ParsePriority(Metadata("lm-priority"), Call::priority());
  }
  return *priority_;
}

// gRPC converts the time that the client gave the call to the wall clock when
// the call arrives, which is now.
Call::Clock::time_point GrpcCall::Deadline(
    const grpc::CallbackServerContext& context) {
  using WallClock = std::chrono::system_clock;
  const WallClock::time_point deadline = context.deadline();
  // Leaves room for the sum below.
  const auto left = deadline - WallClock::now();
  if (left > std::chrono::hours(24 * 365)) return Clock::time_point::max();
  return Clock::now() + std::chrono::duration_cast<Clock::duration>(left);
}

std::string GrpcCall::client() const {
  return AddressFromPeer(context_.peer());
}

absl::string_view GrpcCall::authorization() const {
  return Metadata("authorization");
}

absl::string_view GrpcCall::Metadata(const char* key) const {
  const auto found = context_.client_metadata().find(key);
  if (found == context_.client_metadata().end()) return "";
  return {found->second.data(), found->second.size()};
}

}  // namespace lmserve
