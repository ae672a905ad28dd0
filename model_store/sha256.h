// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODEL_STORE_SHA256_H_
#define LMSERVE_MODEL_STORE_SHA256_H_

#include <optional>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"

namespace lmserve {

// Returns the SHA-256 of `bytes` as 64 lower-case hexadecimal digits.
std::string Sha256(absl::string_view bytes);

// Like the function above, but returns nullopt if `is_cancelled` returns true.
// It is called every few milliseconds.
std::optional<std::string> Sha256(absl::string_view bytes,
                                  absl::FunctionRef<bool()> is_cancelled);

}  // namespace lmserve

#endif  // LMSERVE_MODEL_STORE_SHA256_H_
