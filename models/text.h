#ifndef LMSERVE_MODELS_TEXT_H_
#define LMSERVE_MODELS_TEXT_H_

#include <vector>

#include "absl/strings/string_view.h"

namespace lmserve {

// Splits a text into words at ASCII white space (space, tab, CR, LF, VT, FF)
// and NUL, exactly as training does: the tokeniser "whitespace". Other Unicode
// spaces are part of a word. The views are parts of the text.
std::vector<absl::string_view> SplitWords(absl::string_view text);

// Offset of the first byte that is not part of valid UTF-8 (no surrogates, no
// over-long forms), or npos where all is well.
size_t FindInvalidUtf8(absl::string_view text);

}  // namespace lmserve

#endif  // LMSERVE_MODELS_TEXT_H_
