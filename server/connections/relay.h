// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_CONNECTIONS_RELAY_H_
#define LMSERVE_SERVER_CONNECTIONS_RELAY_H_

#include <atomic>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/ssl/context.hpp>
#include <functional>
#include <memory>
#include <string>

#include "server/connections/client_table.h"
#include "server/connections/connection_loops.h"
#include "server/connections/http2_guard.h"

namespace lmserve {

// What all connections of a listener share. Must outlive them.
struct RelayContext {
  const Http2Limits& http2;
  const std::chrono::milliseconds handshake_time;
  // Gets the socket of the server.
  const std::function<void(int socket)>& hand_over;
  std::atomic<uint64_t>& refused_streams;
  std::atomic<uint64_t>& ended_connections;
};

// One connection: moves bytes between the socket of a client and a socket pair
// to the server, through an Http2Guard. Each direction reads only after what it
// has read before was written, so it holds one buffer, and the slower side
// holds up the faster one. While the client does not read, its requests are not
// read, either.
//
// Drain() refuses new streams.
class Relay : public LoopConnection {
 public:
  using Socket = ConnectionLoops::Socket;
  using TlsContext = boost::asio::ssl::context;

  // `tls` is null for connections without encryption. `on_closed` is called
  // once.
  static std::shared_ptr<Relay> Create(const RelayContext& context,
                                       Socket client, std::string address,
                                       ClientTable::Ticket ticket,
                                       std::shared_ptr<TlsContext> tls,
                                       std::function<void()> on_closed);
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_CONNECTIONS_RELAY_H_
