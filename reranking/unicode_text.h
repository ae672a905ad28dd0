// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_RERANKING_UNICODE_TEXT_H_
#define LMSERVE_RERANKING_UNICODE_TEXT_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace lmserve {

// All functions are pure.

// Decodes UTF-8. Each byte that is not part of a valid code point becomes
// U+FFFD.
std::u32string ToCodePoints(absl::string_view text);

// Encodes code points as UTF-8.
std::string ToUtf8(std::u32string_view code_points);

// Returns whether Python's str.split() splits at this code point: ASCII white
// space, U+001C to U+001F, U+0085, U+00A0, U+1680, U+2000 to U+200A, U+2028,
// U+2029, U+202F, U+205F and U+3000.
bool IsUnicodeSpace(char32_t code_point);

// Splits a text at white space and returns the parts that are not empty, in
// UTF-8.
std::vector<std::string> SplitAtUnicodeSpace(std::u32string_view text);

}  // namespace lmserve

#endif  // LMSERVE_RERANKING_UNICODE_TEXT_H_
