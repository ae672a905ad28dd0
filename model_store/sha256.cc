// SPDX-License-Identifier: Apache-2.0
#include "model_store/sha256.h"

#include <openssl/evp.h>

#include <algorithm>
#include <memory>

#include "absl/base/macros.h"
#include "absl/strings/escaping.h"

namespace lmserve {

std::string Sha256(absl::string_view bytes) {
  return *Sha256(bytes, [] { return false; });
}

std::optional<std::string> Sha256(absl::string_view bytes,
                                  absl::FunctionRef<bool()> is_cancelled) {
  constexpr size_t kPiece = 4 << 20;
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(
      EVP_MD_CTX_new(), EVP_MD_CTX_free);
  int done = EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr);
  for (; !bytes.empty() && done == 1;
       bytes.remove_prefix(std::min(kPiece, bytes.size()))) {
    if (is_cancelled()) return std::nullopt;
    const absl::string_view piece = bytes.substr(0, kPiece);
    done = EVP_DigestUpdate(context.get(), piece.data(), piece.size());
  }
  std::string digest(32, '\0');
  unsigned int size = 0;
  if (done == 1) {
    done = EVP_DigestFinal_ex(
        context.get(), reinterpret_cast<unsigned char*>(digest.data()), &size);
  }
  ABSL_ASSERT(done == 1 && size == digest.size());
  return absl::BytesToHexString(digest);
}

}  // namespace lmserve
