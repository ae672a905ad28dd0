// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_CONNECTIONS_TLS_SOCKET_H_
#define LMSERVE_SERVER_CONNECTIONS_TLS_SOCKET_H_

#include <openssl/ssl.h>

#include <cstddef>
#include <memory>

#include "absl/strings/string_view.h"
#include "server/connections/connection_loops.h"

namespace lmserve {

// The server's end of a TLS connection over a socket. boost::asio::ssl::stream
// holds 68 KiB of buffers for each connection; this class holds none while
// nothing is read or written. Its functions never wait: they return for what
// the caller must wait, and must then be called again with the same arguments.
// For one thread at a time.
class TlsSocket {
 public:
  using Socket = ConnectionLoops::Socket;

  enum class Wait {
    kNone,     // the function has done something
    kToRead,   // until bytes come from the client
    kToWrite,  // until the socket takes bytes
    kForever,  // the connection has ended, by an error or by the client
  };

  // Makes the socket non-blocking. `context` must outlive this object.
  TlsSocket(Socket socket, SSL_CTX* context);
  // The address must not change: OpenSSL uses the socket.
  TlsSocket(const TlsSocket&) = delete;
  TlsSocket& operator=(const TlsSocket&) = delete;

  // The socket, to wait for it or to close it.
  Socket& socket() { return socket_; }

  // Continues the handshake. kNone: it has succeeded.
  Wait Handshake();

  // Reads at least one byte and at most `size`.
  Wait Read(char* bytes, size_t size, size_t* read);

  // Whether Read() has bytes for which the socket does not wait.
  bool HasBytes() const;

  // Sends at least one of these bytes, and sets *written to their number.
  // REQUIRES: they are not empty.
  Wait Write(absl::string_view bytes, size_t* written);

 private:
  struct FreeSsl {
    void operator()(SSL* ssl) const { SSL_free(ssl); }
  };

  Wait WaitAfter(int result);

  Socket socket_;
  const std::unique_ptr<SSL, FreeSsl> ssl_;
  bool has_failed_ = false;
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_CONNECTIONS_TLS_SOCKET_H_
