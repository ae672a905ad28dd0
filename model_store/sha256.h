#ifndef LMSERVE_MODEL_STORE_SHA256_H_
#define LMSERVE_MODEL_STORE_SHA256_H_

#include <string>

#include "absl/strings/string_view.h"

namespace lmserve {

// The SHA-256 of some bytes, as 64 lower-case hexadecimal digits.
std::string Sha256(absl::string_view bytes);

}  // namespace lmserve

#endif  // LMSERVE_MODEL_STORE_SHA256_H_
