// SPDX-License-Identifier: Apache-2.0
#include "server/connections/tls_context.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <spdlog/spdlog.h>
#include <time.h>

#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "model_store/stored_file.h"

namespace lmserve {
namespace {

struct FreeOpenSsl {
  void operator()(BIO* file) const { BIO_free(file); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
using Bio = std::unique_ptr<BIO, FreeOpenSsl>;
using Certificate = std::unique_ptr<X509, FreeOpenSsl>;
using PrivateKey = std::unique_ptr<EVP_PKEY, FreeOpenSsl>;

absl::Status FileError(const std::string& path, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("TLS: ", path, ": ", what));
}

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  const auto memory = ReadStoredFile(path);
  if (!memory.ok()) return FileError(path, memory.status().message());
  return std::string(memory->bytes());
}

Bio MakeBio(const std::string& text) {
  return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

// OpenSSL would otherwise ask for the passphrase on the terminal.
int NoPassphrase(char*, int, int, void*) { return -1; }

// Reads all certificates of a file. The first one must be valid at this time.
absl::StatusOr<std::vector<Certificate>> ParseCertificates(
    const std::string& path, const std::string& text) {
  const Bio bio = MakeBio(text);
  std::vector<Certificate> certificates;
  while (X509* next =
             PEM_read_bio_X509(bio.get(), nullptr, NoPassphrase, nullptr)) {
    certificates.emplace_back(next);
  }
  const bool is_end =
      ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  ERR_clear_error();
  if (!is_end) {
    return FileError(path, absl::StrCat("expected certificates in PEM, found a "
                                        "damaged one after ",
                                        certificates.size(), " others"));
  }
  if (certificates.empty()) {
    return FileError(path, "expected a certificate in PEM, found none");
  }
  const X509* first = certificates[0].get();
  if (X509_cmp_current_time(X509_get0_notAfter(first)) < 0) {
    return FileError(path, "the certificate has expired");
  }
  if (X509_cmp_current_time(X509_get0_notBefore(first)) > 0) {
    return FileError(path, "the certificate is not yet valid");
  }
  return certificates;
}

std::chrono::system_clock::time_point ExpiryOf(const X509& certificate) {
  tm expiry = {};
  ASN1_TIME_to_tm(X509_get0_notAfter(&certificate), &expiry);
  return std::chrono::system_clock::from_time_t(timegm(&expiry));
}

absl::StatusOr<PrivateKey> ParseKey(const std::string& path,
                                    const std::string& text) {
  const Bio bio = MakeBio(text);
  PrivateKey key(
      PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassphrase, nullptr));
  ERR_clear_error();
  if (key == nullptr && absl::StrContains(text, "ENCRYPTED")) {
    return FileError(path, "expected a key without a passphrase");
  }
  if (key == nullptr) {
    return FileError(path, "expected a key in PEM, found none");
  }
  return key;
}

// Chooses the protocol, an absl::string_view in the form of ALPN, and ends the
// handshake if the client does not offer it.
int ChooseProtocol(SSL*, const unsigned char** chosen,
                   unsigned char* chosen_size, const unsigned char* offered,
                   unsigned int offered_size, void* protocol) {
  const auto& own = *static_cast<const absl::string_view*>(protocol);
  unsigned char* result = nullptr;
  if (SSL_select_next_proto(&result, chosen_size,
                            reinterpret_cast<const unsigned char*>(own.data()),
                            own.size(), offered,
                            offered_size) != OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  }
  *chosen = result;
  return SSL_TLSEXT_ERR_OK;
}

absl::string_view* AlpnOf(TlsContext::Protocol protocol) {
  static absl::string_view http2 = "\x02h2";
  static absl::string_view http1 = "\x08http/1.1";
  return protocol == TlsContext::Protocol::kHttp2 ? &http2 : &http1;
}

std::shared_ptr<TlsContext::Context> MakeContext(
    TlsContext::Protocol protocol) {
  auto context =
      std::make_shared<TlsContext::Context>(TlsContext::Context::tls_server);
  SSL_CTX* ssl = context->native_handle();
  SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION);
  SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                               SSL_OP_CIPHER_SERVER_PREFERENCE);
  // Idle connections hold no buffers.
  SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_alpn_select_cb(ssl, ChooseProtocol, AlpnOf(protocol));
  SSL_CTX_set_session_id_context(
      ssl, reinterpret_cast<const unsigned char*>("lmserve"), 7);
  return context;
}

// Sets the server's certificate, the chain to its root and its key.
bool UseCertificates(SSL_CTX* ssl, const std::vector<Certificate>& chain,
                     const PrivateKey& key) {
  bool accepted = SSL_CTX_use_certificate(ssl, chain[0].get()) == 1 &&
                  SSL_CTX_use_PrivateKey(ssl, key.get()) == 1;
  for (size_t i = 1; i < chain.size(); ++i) {
    accepted = accepted && SSL_CTX_add1_chain_cert(ssl, chain[i].get()) == 1;
  }
  return accepted;
}

// Clients need a certificate that one of the roots signed.
void RequireClientCertificate(SSL_CTX* ssl,
                              const std::vector<Certificate>& roots) {
  for (const Certificate& root : roots) {
    X509_STORE_add_cert(SSL_CTX_get_cert_store(ssl), root.get());
    SSL_CTX_add_client_CA(ssl, root.get());
  }
  SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
                     nullptr);
}

}  // namespace

absl::Status CheckTlsOptions(const TlsOptions& options) {
  if (options.encrypts() == !options.key.empty() &&
      (options.encrypts() || options.client_ca.empty())) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("TLS: expected a certificate and its key, found only ",
                   options.encrypts()     ? "a certificate"
                   : !options.key.empty() ? "a key"
                                          : "roots of clients"));
}

absl::StatusOr<std::unique_ptr<TlsContext>> TlsContext::Create(
    const TlsOptions& options) {
  absl::Status status = CheckTlsOptions(options);
  if (!status.ok()) return status;
  std::unique_ptr<TlsContext> context(new TlsContext(options));
  bool has_changed;
  status = context->Load(&has_changed);
  if (!status.ok()) return status;
  return context;
}

std::shared_ptr<TlsContext::Context> TlsContext::Get(Protocol protocol) const {
  const MutexLock lock(mutex_);
  return protocol == Protocol::kHttp2 ? loaded_.http2 : loaded_.http1;
}

std::chrono::system_clock::time_point TlsContext::expiry() const {
  const MutexLock lock(mutex_);
  return loaded_.expiry;
}

void TlsContext::Refresh() {
  bool has_changed;
  const absl::Status status = Load(&has_changed);
  const std::string error(status.message());
  if (has_changed) {
    spdlog::info("TLS: {}: new connections use the changed files",
                 options_.certificate);
  }
  if (status.ok()) logged_.clear();
  if (!status.ok() && error == last_error_) {
    ++failures_;
    if (error != logged_)
      spdlog::error("{}; the earlier files stay in use", error);
    logged_ = error;
  }
  last_error_ = error;
  checked_ = std::chrono::system_clock::now();
}

// Uses the files if they are valid, and says whether they have changed then.
absl::Status TlsContext::Load(bool* has_changed) {
  *has_changed = false;
  absl::StatusOr<std::vector<std::string>> texts = ReadFiles();
  if (!texts.ok()) return texts.status();
  if (*texts == used_) return absl::OkStatus();
  absl::StatusOr<Loaded> loaded = Parse(*texts);
  if (!loaded.ok()) return loaded.status();
  used_ = *std::move(texts);
  *has_changed = true;
  const MutexLock lock(mutex_);
  loaded_ = *std::move(loaded);
  return absl::OkStatus();
}

// Reads each file once, so that what is checked is what is used.
absl::StatusOr<std::vector<std::string>> TlsContext::ReadFiles() const {
  options_.on_read();
  std::vector<std::string> texts;
  for (const std::string* path :
       {&options_.certificate, &options_.key, &options_.client_ca}) {
    if (path->empty()) continue;
    absl::StatusOr<std::string> text = ReadFile(*path);
    if (!text.ok()) return text.status();
    texts.push_back(*std::move(text));
  }
  return texts;
}

absl::StatusOr<TlsContext::Loaded> TlsContext::Parse(
    const std::vector<std::string>& texts) const {
  auto certificates = ParseCertificates(options_.certificate, texts[0]);
  if (!certificates.ok()) return certificates.status();
  const absl::StatusOr<PrivateKey> key = ParseKey(options_.key, texts[1]);
  if (!key.ok()) return key.status();
  if (X509_check_private_key((*certificates)[0].get(), key->get()) != 1) {
    ERR_clear_error();
    return FileError(options_.key,
                     absl::StrCat("is not the key of ", options_.certificate));
  }
  std::vector<Certificate> roots;
  if (!options_.client_ca.empty()) {
    auto parsed = ParseCertificates(options_.client_ca, texts[2]);
    if (!parsed.ok()) return parsed.status();
    roots = *std::move(parsed);
  }
  Loaded loaded{MakeContext(Protocol::kHttp2), MakeContext(Protocol::kHttp1),
                ExpiryOf(*(*certificates)[0])};
  for (const auto& context : {loaded.http2, loaded.http1}) {
    SSL_CTX* ssl = context->native_handle();
    if (!UseCertificates(ssl, *certificates, *key)) {
      ERR_clear_error();
      return FileError(options_.certificate,
                       "OpenSSL does not accept the certificate or its key");
    }
    if (!roots.empty()) RequireClientCertificate(ssl, roots);
  }
  return loaded;
}

}  // namespace lmserve
