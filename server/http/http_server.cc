// SPDX-License-Identifier: Apache-2.0
#include "server/http/http_server.h"

#include <utility>

namespace lmserve {

HttpServer::HttpServer(const HttpServerOptions& options,
                       const CallInterceptor& interceptor)
    : options_(options),
      policy_(options.policy),
      pool_(options.pool_threads),
      context_{interceptor, policy_, json_, pool_, options.message_bytes},
      router_(policy_),
      connections_{options.limits, [this](std::shared_ptr<HttpStream> stream) {
                     router_.Answer(std::move(stream));
                   }} {
  loops_ = std::make_unique<ConnectionLoops>(
      options_.loops, [this](ConnectionLoops::Accepted accepted) {
        return MakeHttpConnection(
            connections_, std::move(accepted),
            options_.tls == nullptr
                ? nullptr
                : options_.tls->Get(TlsContext::Protocol::kHttp1));
      });
}

HttpServer::~HttpServer() = default;

absl::Status HttpServer::Listen(const std::string& address) {
  return loops_->Start(address);
}

HttpServer::Counts HttpServer::counts() const {
  return {.connections = loops_->counts(),
          .ended_connections = connections_.ended_connections,
          .requests = connections_.requests};
}

}  // namespace lmserve
