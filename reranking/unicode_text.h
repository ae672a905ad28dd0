#ifndef LMSERVE_RERANKING_UNICODE_TEXT_H_
#define LMSERVE_RERANKING_UNICODE_TEXT_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace lmserve {

// The code points of a text in UTF-8; a byte that is no part of one stands for
// itself, as U+FFFD.
std::u32string ToCodePoints(absl::string_view text);
std::string ToUtf8(std::u32string_view code_points);

// White space as Python's str.split() has it: that of ASCII with U+001C to
// U+001F, U+0085, U+00A0, U+1680, U+2000 to U+200A, U+2028, U+2029, U+202F,
// U+205F and U+3000.
bool IsUnicodeSpace(char32_t code_point);

// What stands between white space.
std::vector<std::string> SplitAtUnicodeSpace(std::u32string_view text);

}  // namespace lmserve

#endif  // LMSERVE_RERANKING_UNICODE_TEXT_H_
