#include "model_store/sha256.h"

#include <openssl/evp.h>

#include "absl/base/macros.h"
#include "absl/strings/escaping.h"

namespace lmserve {

std::string Sha256(absl::string_view bytes) {
  std::string digest(32, '\0');
  unsigned int size = 0;
  const int done = EVP_Digest(bytes.data(), bytes.size(),
                              reinterpret_cast<unsigned char*>(digest.data()),
                              &size, EVP_sha256(), nullptr);
  ABSL_ASSERT(done == 1 && size == digest.size());
  (void)done;
  return absl::BytesToHexString(digest);
}

}  // namespace lmserve
