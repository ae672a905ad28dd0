// SPDX-License-Identifier: Apache-2.0
#include "server/connections/tls_socket.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <utility>

namespace lmserve {
namespace {

using boost::system::error_code;

// The bytes of a record that OpenSSL supports.
constexpr size_t kMinRecord = 512;
constexpr size_t kMaxRecord = SSL3_RT_MAX_PLAIN_LENGTH;

int DescriptorOf(BIO* bio) {
  return static_cast<int>(reinterpret_cast<intptr_t>(BIO_get_data(bio)));
}

// Sets what a call of send() or recv() means to OpenSSL.
int Finish(BIO* bio, ssize_t result, size_t* count) {
  BIO_clear_retry_flags(bio);
  *count = result > 0 ? static_cast<size_t>(result) : 0;
  return result > 0 ? 1 : 0;
}

bool MustWait() {
  return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

// OpenSSL's own functions for sockets raise SIGPIPE.
int SendBytes(BIO* bio, const char* bytes, size_t size, size_t* sent) {
  const ssize_t result = send(DescriptorOf(bio), bytes, size, MSG_NOSIGNAL);
  const bool waits = result < 0 && MustWait();
  const int ok = Finish(bio, result, sent);
  if (waits) BIO_set_retry_write(bio);
  return ok;
}

int ReceiveBytes(BIO* bio, char* bytes, size_t size, size_t* received) {
  const ssize_t result = recv(DescriptorOf(bio), bytes, size, 0);
  const bool waits = result < 0 && MustWait();
  const int ok = Finish(bio, result, received);
  if (waits) BIO_set_retry_read(bio);
  return ok;
}

long Control(BIO* /*bio*/, int command,
             long /*number*/,  // NOLINT(google-runtime-int)
             void* /*pointer*/) {
  return command == BIO_CTRL_FLUSH ? 1 : 0;
}

const BIO_METHOD* SocketMethod() {
  static const BIO_METHOD* const method = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK,
                                    "lmserve socket");
    BIO_meth_set_write_ex(made, SendBytes);
    BIO_meth_set_read_ex(made, ReceiveBytes);
    BIO_meth_set_ctrl(made, Control);
    return made;
  }();
  return method;
}

}  // namespace

TlsSocket::TlsSocket(Socket socket, SSL_CTX* context)
    : socket_(std::move(socket)), ssl_(SSL_new(context)) {
  error_code ignored;
  socket_.non_blocking(true, ignored);
  SSL_set_mode(ssl_.get(), SSL_MODE_ENABLE_PARTIAL_WRITE |
                               SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                               SSL_MODE_RELEASE_BUFFERS);
  BIO* const bio = BIO_new(SocketMethod());
  const auto descriptor = static_cast<intptr_t>(socket_.native_handle());
  // NOLINTNEXTLINE(performance-no-int-to-ptr): never used as a pointer
  BIO_set_data(bio, reinterpret_cast<void*>(descriptor));
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl_.get(), bio, bio);
  SSL_set_accept_state(ssl_.get());
}

TlsSocket::Wait TlsSocket::WaitAfter(int result) {
  switch (SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_NONE:
      return Wait::kNone;
    case SSL_ERROR_WANT_READ:
      return Wait::kToRead;
    case SSL_ERROR_WANT_WRITE:
      return Wait::kToWrite;
    default:
      // OpenSSL must not be called again after an error.
      has_failed_ = true;
      return Wait::kForever;
  }
}

TlsSocket::Wait TlsSocket::Handshake() {
  if (has_failed_) return Wait::kForever;
  ERR_clear_error();
  return WaitAfter(SSL_do_handshake(ssl_.get()));
}

TlsSocket::Wait TlsSocket::Read(char* bytes, size_t size, size_t* read) {
  *read = 0;
  if (has_failed_) return Wait::kForever;
  ERR_clear_error();
  return WaitAfter(SSL_read_ex(ssl_.get(), bytes, size, read));
}

bool TlsSocket::HasBytes() const { return SSL_pending(ssl_.get()) > 0; }

TlsSocket::Wait TlsSocket::Write(absl::string_view bytes, size_t* written) {
  *written = 0;
  if (has_failed_) return Wait::kForever;
  // The buffer of a write that waits is no larger than its message.
  SSL_set_max_send_fragment(ssl_.get(),
                            std::clamp(bytes.size(), kMinRecord, kMaxRecord));
  ERR_clear_error();
  return WaitAfter(
      SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), written));
}

}  // namespace lmserve
