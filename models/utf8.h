// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_UTF8_H_
#define LMSERVE_MODELS_UTF8_H_

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"

namespace lmserve {

// Returns the length in bytes of the character at the start of a text that is
// not empty, and sets the character. Returns 0 if the bytes are not valid
// UTF-8; surrogates and overlong forms are not. Pure.
size_t DecodeUtf8(absl::string_view text, uint32_t* character);

// Returns the offset of the first byte that is not part of valid UTF-8, or npos
// if the text is valid. Pure.
size_t FindInvalidUtf8(absl::string_view text);

}  // namespace lmserve

#endif  // LMSERVE_MODELS_UTF8_H_
