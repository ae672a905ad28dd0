#ifndef LMSERVE_SERVER_RPC_TRANSPORT_SECURITY_H_
#define LMSERVE_SERVER_RPC_TRANSPORT_SECURITY_H_

#include <grpcpp/security/server_credentials.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace lmserve {

// Files in PEM. All empty: connections are not encrypted.
struct TlsOptions {
  std::string certificate;  // of the server, with those that lead to its root
  std::string key;          // of the certificate
  std::string client_ca;    // roots: each client must have a certificate of one
  unsigned refresh_seconds = 10;  // how often changed files are read anew
};

// How connections are made. The files are read anew where they change, so that
// certificates can be renewed while the server runs; new connections use the
// new ones. Fails where there is a key without certificate or the other way
// round, and with the name of the file where one of them cannot be read, is
// none, is expired, or is of another key.
absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> MakeServerCredentials(
    const TlsOptions& options);

}  // namespace lmserve

#endif  // LMSERVE_SERVER_RPC_TRANSPORT_SECURITY_H_
