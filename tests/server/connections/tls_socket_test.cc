// SPDX-License-Identifier: Apache-2.0
#include "server/connections/tls_socket.h"

#include <gtest/gtest.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <fstream>
#include <memory>
#include <string>
#include <thread>

#include "server/connections/tls_context.h"
#include "tests/server/rpc/certificates.h"
#include "tests/testing/temporary_directory.h"

namespace lmserve {
namespace {

using Wait = TlsSocket::Wait;

class TlsSocketTest : public testing::Test {
 protected:
  TlsSocketTest() {
    const CertifiedKey pair = MakeCertificate(MakeRoot("root"));
    TlsOptions options;
    options.certificate = directory_.File("certificate.pem");
    options.key = directory_.File("key.pem");
    std::ofstream(options.certificate) << pair.certificate;
    std::ofstream(options.key) << pair.key;
    context_ = TlsContext::Create(options).value()->Get();
    int ends[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    // So small that each side must wait for the other.
    const int bytes = 4096;
    setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
    client_ = ends[1];
    TlsSocket::Socket socket(io_);
    socket.assign({AF_UNIX, 0}, ends[0]);
    server_ = std::make_unique<TlsSocket>(std::move(socket),
                                          context_->native_handle());
  }
  ~TlsSocketTest() override { CloseClient(); }

  void CloseClient() {
    if (client_ >= 0) close(client_);
    client_ = -1;
  }

  // Calls a function until it need not wait any more.
  template <typename Function>
  Wait Repeat(Function function) {
    while (true) {
      const Wait wait = function();
      if (wait == Wait::kNone || wait == Wait::kForever) return wait;
      pollfd poll = {
          server_->socket().native_handle(),
          static_cast<short>(wait == Wait::kToRead ? POLLIN : POLLOUT), 0};
      EXPECT_GE(::poll(&poll, 1, -1), 0);
    }
  }

  Wait Handshake() {
    return Repeat([&] { return server_->Handshake(); });
  }

  // Runs a client, which gets its connection after the handshake.
  template <typename Function>
  std::thread Client(Function function) {
    return std::thread([this, function] {
      SSL_CTX* const context = SSL_CTX_new(TLS_client_method());
      SSL* const ssl = SSL_new(context);
      SSL_set_fd(ssl, client_);
      EXPECT_EQ(SSL_connect(ssl), 1);
      function(ssl);
      SSL_free(ssl);
      SSL_CTX_free(context);
    });
  }

  const TemporaryDirectory directory_;
  std::shared_ptr<TlsContext::Context> context_;
  boost::asio::io_context io_;
  std::unique_ptr<TlsSocket> server_;
  int client_ = -1;
};

TEST_F(TlsSocketTest, BytesPassBothWays) {
  std::string sent;
  for (int i = 0; sent.size() < 1'000'000; ++i) sent += std::to_string(i);
  std::thread client = Client([&](SSL* ssl) {
    std::string returned(sent.size(), '\0');
    for (size_t at = 0; at < sent.size();) {
      // Pieces of many sizes, the first one of one byte.
      const size_t size = std::min(at + 1, sent.size() - at);
      EXPECT_EQ(SSL_write(ssl, sent.data() + at, static_cast<int>(size)),
                static_cast<int>(size));
      at += size;
    }
    for (size_t at = 0; at < returned.size();) {
      const int size = SSL_read(ssl, returned.data() + at,
                                static_cast<int>(returned.size() - at));
      ASSERT_GT(size, 0);
      at += static_cast<size_t>(size);
    }
    EXPECT_TRUE(returned == sent);
  });
  ASSERT_EQ(Handshake(), Wait::kNone);
  std::string received;
  bool has_had_bytes = false;
  while (received.size() < sent.size()) {
    char bytes[5000];
    size_t size;
    ASSERT_EQ(
        Repeat([&] { return server_->Read(bytes, sizeof(bytes), &size); }),
        Wait::kNone);
    ASSERT_GT(size, 0);
    received.append(bytes, size);
    // Of a record of 16 KiB one call returns only a part.
    has_had_bytes = has_had_bytes || server_->HasBytes();
  }
  EXPECT_TRUE(has_had_bytes);
  EXPECT_FALSE(server_->HasBytes());
  EXPECT_TRUE(received == sent);
  for (absl::string_view rest = received; !rest.empty();) {
    const absl::string_view piece = rest.substr(0, rest.size() / 3 + 1);
    size_t size;
    ASSERT_EQ(Repeat([&] { return server_->Write(piece, &size); }),
              Wait::kNone);
    ASSERT_GT(size, 0);
    rest.remove_prefix(size);
  }
  client.join();
}

TEST_F(TlsSocketTest, TheClientEndsTheConnection) {
  std::thread client = Client([](SSL* ssl) { SSL_shutdown(ssl); });
  ASSERT_EQ(Handshake(), Wait::kNone);
  client.join();
  char byte;
  size_t size;
  EXPECT_EQ(Repeat([&] { return server_->Read(&byte, 1, &size); }),
            Wait::kForever);
  EXPECT_EQ(size, 0);
}

// This must not raise SIGPIPE.
TEST_F(TlsSocketTest, TheClientIsGone) {
  std::thread client = Client([](SSL*) {});
  ASSERT_EQ(Handshake(), Wait::kNone);
  client.join();
  CloseClient();
  size_t size;
  EXPECT_EQ(Repeat([&] { return server_->Write("bytes", &size); }),
            Wait::kForever);
  char byte;
  EXPECT_EQ(server_->Read(&byte, 1, &size), Wait::kForever);
  EXPECT_EQ(server_->Handshake(), Wait::kForever);
}

TEST_F(TlsSocketTest, TheClientDoesNotSpeakTls) {
  const std::string request = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
  ASSERT_EQ(write(client_, request.data(), request.size()),
            static_cast<ssize_t>(request.size()));
  EXPECT_EQ(Handshake(), Wait::kForever);
}

}  // namespace
}  // namespace lmserve
