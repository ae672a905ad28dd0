// SPDX-License-Identifier: Apache-2.0
#include "tests/server/rpc/certificates.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <atomic>
#include <memory>

namespace lmserve {
namespace {

struct Free {
  void operator()(BIO* memory) const { BIO_free(memory); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(X509_EXTENSION* extension) const {
    X509_EXTENSION_free(extension);
  }
};
using Certificate = std::unique_ptr<X509, Free>;
using Key = std::unique_ptr<EVP_PKEY, Free>;
using Memory = std::unique_ptr<BIO, Free>;

std::string Text(const Memory& memory) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(memory.get(), &data);
  return std::string(data, size);
}

std::string ToPem(X509* certificate) {
  const Memory memory(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(memory.get(), certificate);
  return Text(memory);
}

std::string ToPem(EVP_PKEY* key) {
  const Memory memory(BIO_new(BIO_s_mem()));
  PEM_write_bio_PrivateKey(memory.get(), key, nullptr, nullptr, 0, nullptr,
                           nullptr);
  return Text(memory);
}

Certificate ParseCertificate(const std::string& pem) {
  const Memory memory(
      BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  return Certificate(
      PEM_read_bio_X509(memory.get(), nullptr, nullptr, nullptr));
}

Key ParseKey(const std::string& pem) {
  const Memory memory(
      BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  return Key(PEM_read_bio_PrivateKey(memory.get(), nullptr, nullptr, nullptr));
}

void Extend(X509* certificate, X509* issuer, int kind, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const std::unique_ptr<X509_EXTENSION, Free> extension(
      X509V3_EXT_conf_nid(nullptr, &context, kind, value));
  X509_add_ext(certificate, extension.get(), -1);
}

// Makes an unsigned certificate of `key`, valid from an hour ago.
Certificate Blank(const std::string& name, std::chrono::seconds validity,
                  EVP_PKEY* key) {
  static std::atomic<long> serial = 1;
  Certificate certificate(X509_new());
  X509_set_version(certificate.get(), 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), serial++);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -3600);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), validity.count());
  X509_set_pubkey(certificate.get(), key);
  X509_NAME_add_entry_by_txt(
      X509_get_subject_name(certificate.get()), "CN", MBSTRING_ASC,
      reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  return certificate;
}

}  // namespace

CertifiedKey MakeRoot(const std::string& name) {
  const Key key(EVP_EC_gen("P-256"));
  const Certificate root = Blank(name, std::chrono::hours(1), key.get());
  X509_set_issuer_name(root.get(), X509_get_subject_name(root.get()));
  Extend(root.get(), root.get(), NID_basic_constraints, "critical,CA:TRUE");
  X509_sign(root.get(), key.get(), EVP_sha256());
  return {ToPem(root.get()), ToPem(key.get())};
}

CertifiedKey MakeCertificate(const CertifiedKey& root,
                             std::chrono::seconds validity) {
  const Certificate issuer = ParseCertificate(root.certificate);
  const Key issuer_key = ParseKey(root.key);
  const Key key(EVP_EC_gen("P-256"));
  const Certificate certificate = Blank("localhost", validity, key.get());
  X509_set_issuer_name(certificate.get(), X509_get_subject_name(issuer.get()));
  Extend(certificate.get(), issuer.get(), NID_subject_alt_name,
         "DNS:localhost");
  X509_sign(certificate.get(), issuer_key.get(), EVP_sha256());
  return {ToPem(certificate.get()), ToPem(key.get())};
}

}  // namespace lmserve
