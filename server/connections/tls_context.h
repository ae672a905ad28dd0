// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_CONNECTIONS_TLS_CONTEXT_H_
#define LMSERVE_SERVER_CONNECTIONS_TLS_CONTEXT_H_

#include <atomic>
#include <boost/asio/ssl/context.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "model_store/mutex.h"

namespace lmserve {

// Paths of PEM files. If all are empty, connections are not encrypted.
struct TlsOptions {
  std::string certificate;  // the server's, then the chain to its root
  std::string key;          // of the certificate
  std::string client_ca;    // roots; clients need a certificate signed by one
  // Time between checks for changed files.
  std::chrono::milliseconds check_interval = std::chrono::seconds(1);
  // Called before the files are read. For tests.
  std::function<void()> on_read = [] {};

  bool encrypts() const { return !certificate.empty(); }
};

// The certificate and the key for new connections. Follows the files: changed
// files are used once they are valid together, and until then the earlier ones.
// So a renewal may write the files one after the other, and a half-written
// file changes nothing. Thread-safe.
class TlsContext {
 public:
  using Context = boost::asio::ssl::context;

  // What a connection transports. The handshake fails if the client offers
  // protocols (ALPN), and this is not among them.
  enum class Protocol { kHttp2, kHttp1 };

  // Returns INVALID_ARGUMENT if there is a key without a certificate or the
  // reverse. Returns INVALID_ARGUMENT with the name of the file if it cannot be
  // read, has no certificate or key, has an expired certificate, or has the key
  // of another certificate. REQUIRES: options.encrypts().
  static absl::StatusOr<std::unique_ptr<TlsContext>> Create(
      const TlsOptions& options);

  // What is in use. Reads no file.
  std::shared_ptr<Context> Get(Protocol protocol = Protocol::kHttp2) const;

  // When the certificate in use expires.
  std::chrono::system_clock::time_point expiry() const;

  // Reads the files again, and uses them if they have changed and are valid.
  // Logs when they are used. Logs an error once if two checks in a row have
  // found it, since a renewal takes a moment. To be called every
  // check_interval, by one thread at a time, and not by one that others wait
  // for: it hangs if the file system does.
  void Refresh();

  // How many calls of Refresh() have found the same error as the one before,
  // and when the last one ended.
  uint64_t failures() const { return failures_; }
  std::chrono::system_clock::time_point checked() const { return checked_; }

 private:
  struct Loaded {
    std::shared_ptr<Context> http2, http1;
    std::chrono::system_clock::time_point expiry;
  };

  explicit TlsContext(const TlsOptions& options) : options_(options) {}

  absl::StatusOr<std::vector<std::string>> ReadFiles() const;
  absl::StatusOr<Loaded> Parse(const std::vector<std::string>& texts) const;
  absl::Status Load(bool* has_changed);

  const TlsOptions options_;
  std::atomic<uint64_t> failures_ = 0;
  std::atomic<std::chrono::system_clock::time_point> checked_ =
      std::chrono::system_clock::now();
  // Only Refresh() uses these.
  std::vector<std::string> used_;  // the files in use
  std::string last_error_;         // of the check before; empty: none
  std::string logged_;             // the last error in the log
  mutable Mutex mutex_;
  Loaded loaded_ ABSL_GUARDED_BY(mutex_);
};

// Returns INVALID_ARGUMENT if the options name a key without a certificate or
// the reverse, or roots of clients alone.
absl::Status CheckTlsOptions(const TlsOptions& options);

}  // namespace lmserve

#endif  // LMSERVE_SERVER_CONNECTIONS_TLS_CONTEXT_H_
