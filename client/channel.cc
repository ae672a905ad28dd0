// SPDX-License-Identifier: Apache-2.0
#include "client/channel.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"

namespace lmserve {
namespace {

// Whether an address may stand for several servers.
bool IsBalanced(absl::string_view address) {
  return absl::StartsWith(address, "dns:") ||
         absl::StartsWith(address, "ipv4:") ||
         absl::StartsWith(address, "ipv6:");
}

// Returns a service config of gRPC that spreads calls over all addresses, and
// leaves out those of which `health_service` is not SERVING.
std::string RoundRobin(const std::string& health_service) {
  nlohmann::json config = {
      {"loadBalancingConfig", {{{"round_robin", nlohmann::json::object()}}}}};
  if (!health_service.empty()) {
    config["healthCheckConfig"] = {{"serviceName", health_service}};
  }
  return config.dump();
}

// A ping of HTTP/2 is sent after this time in which nothing was received, while
// a call waits for an answer. The server permits one in 5 s
// (ConnectionOptions::min_ping_interval).
constexpr int kKeepaliveMs = 5'500;

// A server that acknowledges nothing for this time is lost, and its calls are
// tried again at another one. Both times together are less than the default
// time limit of a call.
constexpr int kKeepaliveTimeoutMs = 3'000;

grpc::ChannelArguments ChannelArguments(const ClientOptions& options) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(options.message_bytes);
  arguments.SetMaxSendMessageSize(options.message_bytes);
  // Reconnect so soon that the next attempt of a call finds a server that has
  // just started.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 2'000);
  arguments.SetInt(GRPC_ARG_DNS_MIN_TIME_BETWEEN_RESOLUTIONS_MS, 1'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  // A stream may wait for longer than two pings.
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  if (IsBalanced(options.address) || !options.health_service.empty()) {
    arguments.SetServiceConfigJSON(RoundRobin(options.health_service));
  }
  // Client tries calls again by itself, without gRPC's limit of 5 attempts.
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  if (options.tls.has_value() && !options.tls->server_name.empty()) {
    arguments.SetSslTargetNameOverride(options.tls->server_name);
  }
  return arguments;
}

std::shared_ptr<grpc::ChannelCredentials> Credentials(
    const ClientOptions& options) {
  if (!options.tls.has_value()) return grpc::InsecureChannelCredentials();
  return grpc::SslCredentials({.pem_root_certs = options.tls->root,
                               .pem_private_key = options.tls->key,
                               .pem_cert_chain = options.tls->certificate});
}

}  // namespace

std::shared_ptr<grpc::Channel> CreateChannel(const ClientOptions& options) {
  return grpc::CreateCustomChannel(options.address, Credentials(options),
                                   ChannelArguments(options));
}

}  // namespace lmserve
