// SPDX-License-Identifier: Apache-2.0
#include "server/rpc/transport_security.h"

#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_credentials_options.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace lmserve {
namespace {

struct FreeOpenSsl {
  void operator()(BIO* file) const { BIO_free(file); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
using File = std::unique_ptr<BIO, FreeOpenSsl>;
using Certificate = std::unique_ptr<X509, FreeOpenSsl>;
using Key = std::unique_ptr<EVP_PKEY, FreeOpenSsl>;

absl::Status FileError(const std::string& path, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("TLS: ", path, ": ", what));
}

absl::StatusOr<File> Open(const std::string& path) {
  File file(BIO_new_file(path.c_str(), "r"));
  if (file == nullptr) return FileError(path, "cannot be read");
  return file;
}

// Reads the first certificate of a file, which must be valid at this time.
absl::StatusOr<Certificate> ReadCertificate(const std::string& path) {
  const absl::StatusOr<File> file = Open(path);
  if (!file.ok()) return file.status();
  Certificate certificate(
      PEM_read_bio_X509(file->get(), nullptr, nullptr, nullptr));
  if (certificate == nullptr) {
    return FileError(path, "expected a certificate in PEM, found none");
  }
  if (X509_cmp_current_time(X509_get0_notAfter(certificate.get())) < 0) {
    return FileError(path, "the certificate has expired");
  }
  if (X509_cmp_current_time(X509_get0_notBefore(certificate.get())) > 0) {
    return FileError(path, "the certificate is not yet valid");
  }
  return certificate;
}

absl::StatusOr<Key> ReadKey(const std::string& path) {
  const absl::StatusOr<File> file = Open(path);
  if (!file.ok()) return file.status();
  Key key(PEM_read_bio_PrivateKey(file->get(), nullptr, nullptr, nullptr));
  if (key == nullptr) {
    return FileError(path, "expected a key in PEM, found none");
  }
  return key;
}

// Checks the files before gRPC reads them, because gRPC does not report what is
// wrong with them.
absl::Status CheckFiles(const TlsOptions& options) {
  const absl::StatusOr<Certificate> certificate =
      ReadCertificate(options.certificate);
  if (!certificate.ok()) return certificate.status();
  const absl::StatusOr<Key> key = ReadKey(options.key);
  if (!key.ok()) return key.status();
  if (X509_check_private_key(certificate->get(), key->get()) != 1) {
    return FileError(options.key,
                     absl::StrCat("is not the key of ", options.certificate));
  }
  if (options.client_ca.empty()) return absl::OkStatus();
  return ReadCertificate(options.client_ca).status();
}

}  // namespace

absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> MakeServerCredentials(
    const TlsOptions& options) {
  namespace tls = grpc::experimental;
  const bool encrypts = !options.certificate.empty();
  if (encrypts != !options.key.empty() ||
      (!encrypts && !options.client_ca.empty())) {
    return absl::InvalidArgumentError(
        absl::StrCat("TLS: expected a certificate and its key, found only ",
                     encrypts               ? "a certificate"
                     : !options.key.empty() ? "a key"
                                            : "roots of clients"));
  }
  if (!encrypts) return grpc::InsecureServerCredentials();
  absl::Status status = CheckFiles(options);
  if (!status.ok()) return status;
  tls::TlsServerCredentialsOptions credentials(
      std::make_shared<tls::FileWatcherCertificateProvider>(
          options.key, options.certificate, options.client_ca,
          options.refresh_seconds));
  credentials.watch_identity_key_cert_pairs();
  if (options.client_ca.empty()) {
    credentials.set_cert_request_type(GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE);
  } else {
    credentials.watch_root_certs();
    credentials.set_cert_request_type(
        GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  }
  return tls::TlsServerCredentials(credentials);
}

}  // namespace lmserve
