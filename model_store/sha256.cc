// SPDX-License-Identifier: Apache-2.0
#include "model_store/sha256.h"

#include <openssl/evp.h>

#include "absl/base/macros.h"
#include "absl/strings/escaping.h"

namespace lmserve {

std::string Sha256(absl::string_view bytes) {
  Sha256Stream stream;
  stream.Add(bytes);
  return stream.Finish();
}

Sha256Stream::Sha256Stream() : context_(EVP_MD_CTX_new(), EVP_MD_CTX_free) {
  const int done = EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr);
  ABSL_ASSERT(done == 1);
  (void)done;
}

void Sha256Stream::Add(absl::string_view bytes) {
  const int done = EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size());
  ABSL_ASSERT(done == 1);
  (void)done;
}

std::string Sha256Stream::Finish() {
  std::string digest(32, '\0');
  unsigned int size = 0;
  const int done = EVP_DigestFinal_ex(
      context_.get(), reinterpret_cast<unsigned char*>(digest.data()), &size);
  ABSL_ASSERT(done == 1 && size == digest.size());
  (void)done;
  return absl::BytesToHexString(digest);
}

}  // namespace lmserve
