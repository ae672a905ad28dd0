// SPDX-License-Identifier: Apache-2.0
#include "server/rpc/grpc_call.h"

#include "server/connections/named_socket_pair.h"

namespace lmserve {

GrpcCall::GrpcCall(grpc::CallbackServerContext& context, Priority priority)
    : TransportCall(priority, Deadline(context)), context_(context) {
  if (const absl::string_view id = request_id(); !id.empty()) {
    context.AddInitialMetadata(kRequestIdHeader, std::string(id));
  }
  if (const absl::string_view parent = trace_parent(); !parent.empty()) {
    context.AddInitialMetadata(kTraceParentHeader, std::string(parent));
  }
}

Priority GrpcCall::priority() const {
  if (!priority_.has_value()) {
    priority_ = ParsePriority(Header("lm-priority"), Call::priority());
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

absl::string_view GrpcCall::Header(absl::string_view name) const {
  const auto found =
      context_.client_metadata().find({name.data(), name.size()});
  if (found == context_.client_metadata().end()) return "";
  return {found->second.data(), found->second.size()};
}

std::string GrpcCall::JoinedHeader(absl::string_view name) const {
  const auto [begin, end] =
      context_.client_metadata().equal_range({name.data(), name.size()});
  std::string joined;
  for (auto entry = begin; entry != end; ++entry) {
    if (entry != begin) joined += ',';
    joined.append(entry->second.data(), entry->second.size());
  }
  return joined;
}

}  // namespace lmserve
