// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_RPC_TRANSPORT_SECURITY_H_
#define LMSERVE_SERVER_RPC_TRANSPORT_SECURITY_H_

#include <grpcpp/security/server_credentials.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace lmserve {

// Paths of PEM files. If all are empty, connections are not encrypted.
struct TlsOptions {
  std::string certificate;  // the server's, then the chain to its root
  std::string key;          // of the certificate
  std::string client_ca;    // roots; clients need a certificate signed by one
  unsigned refresh_seconds = 10;  // time between checks for changed files
};

// Returns the credentials of a server. gRPC reads the files again when they
// change, so certificates can be renewed while the server runs; new connections
// use the new files. Returns INVALID_ARGUMENT if there is a key without a
// certificate or the reverse. Returns INVALID_ARGUMENT with the name of the
// file if it cannot be read, has no certificate or key, has an expired
// certificate, or has the key of another certificate.
absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> MakeServerCredentials(
    const TlsOptions& options);

}  // namespace lmserve

#endif  // LMSERVE_SERVER_RPC_TRANSPORT_SECURITY_H_
