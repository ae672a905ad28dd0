// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_HTTP_HTTP_CONNECTION_H_
#define LMSERVE_SERVER_HTTP_HTTP_CONNECTION_H_

#include <atomic>
#include <boost/asio/ssl/context.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "server/connections/connection_loops.h"
#include "server/http/http_parser.h"
#include "server/http/http_stream.h"

namespace lmserve {

struct HttpConnectionLimits {
  HttpHeadLimits head = {};
  // Requests of one connection. The last one closes it.
  uint64_t requests = 1000;
  // For the handshake of TLS, and for the first byte of a connection.
  std::chrono::milliseconds begin_time = std::chrono::seconds(10);
  // From the first byte of a request to the end of its head.
  std::chrono::milliseconds head_time = std::chrono::seconds(10);
  // A body must come at `body_rate` bytes a second after `body_time`.
  std::chrono::milliseconds body_time = std::chrono::seconds(10);
  uint64_t body_rate = 1000;
  // For the first request of a stream, and for each one after it.
  std::chrono::milliseconds first_pause = std::chrono::minutes(1);
  std::chrono::milliseconds pause = std::chrono::minutes(10);
  // From the end of an answer to the next request.
  std::chrono::milliseconds idle_time = std::chrono::seconds(75);
  // For the client to read an answer. Calls have a limit of their own.
  std::chrono::milliseconds write_time = std::chrono::minutes(2);
  // A stream in which nothing was sent for this long gets its heartbeat.
  std::chrono::milliseconds heartbeat = std::chrono::seconds(15);
};

// What all connections of a listener share. Must outlive them.
struct HttpConnectionContext {
  const HttpConnectionLimits limits;
  const HttpHandler handler;
  std::atomic<uint64_t> requests = 0;  // that the handler got
  // Connections that were closed for what the client sent or did not send.
  std::atomic<uint64_t> ended_connections = 0;
};

// Makes the connection of HTTP/1.1 over a socket, with TLS unless `tls` is
// null. It passes one request after the other to the handler. While a request
// is being answered, at most head.bytes of what the client sends are read in
// advance, and the end of the client cancels the answer. A connection that
// waits holds no buffers, except those of TLS.
std::shared_ptr<LoopConnection> MakeHttpConnection(
    HttpConnectionContext& context, ConnectionLoops::Accepted accepted,
    std::shared_ptr<boost::asio::ssl::context> tls);

}  // namespace lmserve

#endif  // LMSERVE_SERVER_HTTP_HTTP_CONNECTION_H_
