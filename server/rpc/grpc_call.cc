// SPDX-License-Identifier: Apache-2.0
#include "server/rpc/grpc_call.h"

namespace lmserve {

Priority GrpcCall::priority() const {
  if (!priority_.has_value()) {
    priority_ = ParsePriority(Metadata("lm-priority"), Call::priority());
  }
  return *priority_;
}

// Peers are "ipv4:ADDRESS:PORT", "ipv6:[ADDRESS]:PORT" and "unix:PATH".
std::string GrpcCall::client() const {
  const std::string peer = context_.peer();
  if (peer.rfind("unix:", 0) == 0) return "unix";
  return peer.substr(0, peer.rfind(':'));
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
