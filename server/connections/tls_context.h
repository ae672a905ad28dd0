// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_CONNECTIONS_TLS_CONTEXT_H_
#define LMSERVE_SERVER_CONNECTIONS_TLS_CONTEXT_H_

#include <boost/asio/ssl/context.hpp>
#include <memory>
#include <string>

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
  unsigned refresh_seconds = 10;  // time between checks for changed files

  bool encrypts() const { return !certificate.empty(); }
};

// The certificate and the key for new connections. Follows the files: changed
// files are used once they are valid together, and until then the earlier ones.
// So a renewal may write the files one after the other, and a half-written
// file changes nothing. Thread-safe.
class TlsContext {
 public:
  using Context = boost::asio::ssl::context;

  // Returns INVALID_ARGUMENT if there is a key without a certificate or the
  // reverse. Returns INVALID_ARGUMENT with the name of the file if it cannot be
  // read, has no certificate or key, has an expired certificate, or has the key
  // of another certificate. REQUIRES: options.encrypts().
  static absl::StatusOr<std::unique_ptr<TlsContext>> Create(
      const TlsOptions& options);

  std::shared_ptr<Context> Get() const;

  // Reads the files again if they have changed. Logs a line when they are used,
  // and one when they are not valid. To be called every refresh_seconds, by one
  // thread at a time.
  void Refresh();

 private:
  explicit TlsContext(const TlsOptions& options) : options_(options) {}

  absl::Status Load();

  const TlsOptions options_;
  std::string contents_;  // of the files at the last Refresh()
  mutable Mutex mutex_;
  std::shared_ptr<Context> context_ ABSL_GUARDED_BY(mutex_);
};

// Returns INVALID_ARGUMENT if the options name a key without a certificate or
// the reverse, or roots of clients alone.
absl::Status CheckTlsOptions(const TlsOptions& options);

}  // namespace lmserve

#endif  // LMSERVE_SERVER_CONNECTIONS_TLS_CONTEXT_H_
