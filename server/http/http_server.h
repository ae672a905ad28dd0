// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_HTTP_HTTP_SERVER_H_
#define LMSERVE_SERVER_HTTP_HTTP_SERVER_H_

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "server/connections/connection_loops.h"
#include "server/connections/tls_context.h"
#include "server/http/http_connection.h"
#include "server/http/http_context.h"
#include "server/http/http_router.h"

namespace lmserve {

struct HttpServerOptions {
  std::shared_ptr<const TlsContext> tls = nullptr;  // null: no encryption
  LoopOptions loops = {};
  HttpConnectionLimits limits = {};
  HttpPolicyOptions policy = {};
  uint64_t message_bytes = 16 << 20;  // of a request
  int pool_threads = 1;               // for long conversions of JSON
};

// Serves HTTP/1.1 on an address, with the routes that were added. Thread-safe
// once it listens.
class HttpServer {
 public:
  // The interceptor must outlive it.
  HttpServer(const HttpServerOptions& options,
             const CallInterceptor& interceptor);
  // Closes all connections, and waits until their calls have ended.
  ~HttpServer();

  // To be used before Listen().
  HttpRouter& router() { return router_; }
  const HttpContext& context() const { return context_; }

  // Listens on an address as ConnectionLoops::Start() does.
  absl::Status Listen(const std::string& address);

  // The address, with the port that was chosen for port 0.
  const std::string& address() const { return loops_->address(); }

  struct Counts {
    ConnectionLoops::Counts connections;
    uint64_t ended_connections;  // for what the client sent, or did not send
    uint64_t requests;
  };
  Counts counts() const;

  // Stops listening, and closes each connection after its answer.
  void Drain() { loops_->Drain(); }
  bool WaitUntilIdle(std::chrono::steady_clock::time_point end) {
    return loops_->WaitUntilIdle(end);
  }

 private:
  const HttpServerOptions options_;
  const HttpPolicy policy_;
  const JsonFormat json_;
  WorkPool pool_;
  const HttpContext context_;
  HttpRouter router_;
  HttpConnectionContext connections_;
  std::unique_ptr<ConnectionLoops> loops_;
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_HTTP_HTTP_SERVER_H_
