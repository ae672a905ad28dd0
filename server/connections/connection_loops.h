// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_CONNECTIONS_CONNECTION_LOOPS_H_
#define LMSERVE_SERVER_CONNECTIONS_CONNECTION_LOOPS_H_

#include <sys/types.h>

#include <boost/asio/generic/stream_protocol.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "server/connections/client_table.h"

namespace lmserve {

// A connection of a client, on the thread of its loop: all methods are called
// there. Keeps itself alive while it is open.
class LoopConnection {
 public:
  virtual ~LoopConnection() = default;

  virtual void Start() = 0;

  // Accepts no new calls from now on. Calls that have begun continue.
  virtual void Drain() = 0;

  // Whether no call is open and nothing waits to be sent.
  virtual bool is_idle() const = 0;

  // Ends what takes too long. Called about twice a second.
  virtual void CheckTimes(std::chrono::steady_clock::time_point now) = 0;

  // Closes the connection at once.
  virtual void Close() = 0;
};

struct LoopOptions {
  // Permissions of Unix sockets. Not set: those that the umask leaves.
  std::optional<mode_t> socket_mode = std::nullopt;
  ClientLimits clients = {};
  int threads = 1;
};

// Listens on an address, and distributes the connections of clients to threads,
// each of which has a loop of Asio. Counts the connections of each client, and
// closes those beyond a limit. A process that has run out of file descriptors
// accepts again when some are free. Thread-safe.
class ConnectionLoops {
 public:
  using Socket = boost::asio::generic::stream_protocol::socket;

  struct Accepted {
    Socket socket;  // its executor is the one of the loop
    // In the form of gRPC's peers, without the port: "ipv4:1.2.3.4",
    // "ipv6:[::1]" or "unix".
    std::string address;
    ClientTable::Ticket ticket;
    // To be called once, when the connection is closed, on the loop's thread.
    std::function<void()> on_closed;
  };
  // Makes a connection, on the thread of its loop.
  using MakeConnection =
      std::function<std::shared_ptr<LoopConnection>(Accepted accepted)>;

  struct Counts {
    uint64_t connections;  // now
    uint64_t accepted;     // since the start
    uint64_t refused;      // beyond a limit
  };

  ConnectionLoops(const LoopOptions& options, MakeConnection make_connection);
  // Closes all connections, and waits until nothing of them runs on a loop.
  ~ConnectionLoops();
  ConnectionLoops(const ConnectionLoops&) = delete;
  ConnectionLoops& operator=(const ConnectionLoops&) = delete;

  // Listens on an address: HOST:PORT, where port 0 chooses a free port and a
  // host name may stand for several addresses, [IPV6]:PORT, or unix:PATH.
  // Returns UNAVAILABLE if that is not possible. To be called once.
  absl::Status Start(const std::string& address);

  // The address, with the port that was chosen for port 0.
  const std::string& address() const;

  Counts counts() const;

  // Stops listening, and drains all connections.
  void Drain();

  // Waits until all connections are idle. Returns false if they are not at
  // `end`.
  bool WaitUntilIdle(std::chrono::steady_clock::time_point end);

  // Waits until all connections are closed, or until `end`.
  void WaitUntilClosed(std::chrono::steady_clock::time_point end) const;

 private:
  class Impl;

  const std::unique_ptr<Impl> impl_;
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_CONNECTIONS_CONNECTION_LOOPS_H_
