// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_CONNECTIONS_CONNECTION_LISTENER_H_
#define LMSERVE_SERVER_CONNECTIONS_CONNECTION_LISTENER_H_

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "server/connections/client_table.h"
#include "server/connections/http2_guard.h"
#include "server/connections/tls_context.h"

namespace lmserve {

struct ListenerOptions {
  std::shared_ptr<const TlsContext> tls = nullptr;  // null: no encryption
  // Permissions of Unix sockets. Not set: those that the umask leaves.
  std::optional<mode_t> socket_mode = std::nullopt;
  ClientLimits clients = {};
  Http2Limits http2 = {};
  // For the handshake of TLS and the first bytes of HTTP/2.
  std::chrono::milliseconds handshake_time = std::chrono::seconds(10);
  int threads = 1;
};

// Accepts connections, ends TLS, and relays each one through an Http2Guard to a
// server in this process, which gets a socket for it. The server itself does
// not listen. So what a client can make the server hold is limited before the
// server reads it; a process that has run out of file descriptors accepts again
// when some are free; and a drain refuses streams with the means of HTTP/2,
// which makes clients try another server.
//
// Runs its own threads. Thread-safe.
class ConnectionListener {
 public:
  // Gets a connected socket, which it owns. Called by any thread.
  using HandOver = std::function<void(int socket)>;

  struct Counts {
    uint64_t connections;          // now
    uint64_t accepted;             // since the start
    uint64_t refused_connections;  // beyond a limit
    uint64_t refused_streams;      // beyond a limit, idle, or while it drains
    uint64_t ended_connections;    // for what the client sent, or did not send
  };

  // Listens on an address: HOST:PORT, where port 0 chooses a free port and a
  // host name may stand for several addresses, [IPV6]:PORT, or unix:PATH.
  // Returns UNAVAILABLE if that is not possible.
  static absl::StatusOr<std::unique_ptr<ConnectionListener>> Start(
      const std::string& address, const ListenerOptions& options,
      HandOver hand_over);

  // Closes all connections.
  ~ConnectionListener();

  // The address, with the port that was chosen for port 0.
  const std::string& address() const;

  Counts counts() const;

  // Stops listening, refuses new streams on the connections that there are, and
  // tells their clients so. Streams that have begun continue.
  void RefuseStreams();

  // Waits until no connection has an open stream or bytes to send. Returns
  // false if that is not so at `end`.
  bool WaitUntilIdle(std::chrono::steady_clock::time_point end) const;

  // Waits until all connections are closed, or until `end`.
  void WaitUntilClosed(std::chrono::steady_clock::time_point end) const;

 private:
  class Impl;

  explicit ConnectionListener(std::unique_ptr<Impl> impl);

  const std::unique_ptr<Impl> impl_;
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_CONNECTIONS_CONNECTION_LISTENER_H_
