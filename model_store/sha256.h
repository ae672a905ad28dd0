// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODEL_STORE_SHA256_H_
#define LMSERVE_MODEL_STORE_SHA256_H_

#include <memory>
#include <string>

#include "absl/strings/string_view.h"

// OpenSSL's EVP_MD_CTX.
struct evp_md_ctx_st;

namespace lmserve {

// Returns the SHA-256 of `bytes` as 64 lower-case hexadecimal digits.
std::string Sha256(absl::string_view bytes);

// Computes the SHA-256 of bytes that arrive in pieces. For one thread at a
// time.
class Sha256Stream {
 public:
  Sha256Stream();

  void Add(absl::string_view bytes);

  // Returns the digest of all bytes as 64 lower-case hexadecimal digits. Must
  // be called once, at the end.
  std::string Finish();

 private:
  std::unique_ptr<evp_md_ctx_st, void (*)(evp_md_ctx_st*)> context_;
};

}  // namespace lmserve

#endif  // LMSERVE_MODEL_STORE_SHA256_H_
