// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TEXT_IO_SENTENCE_MARKERS_H_
#define LMSERVE_TEXT_IO_SENTENCE_MARKERS_H_

#include "absl/strings/string_view.h"

namespace lmserve {

// Returns the text without the characters around it at which texts are split
// into words: white space and NUL bytes. Pure.
absl::string_view StripSpaces(absl::string_view text);

// Return the text without the sentence markers around it, as all programs read
// lines: without <s> as the first word, without </s> as the last one, or
// without both. White space that is left at that end is removed, too. Pure.
absl::string_view WithoutBeginMarker(absl::string_view text);
absl::string_view WithoutEndMarker(absl::string_view text);
absl::string_view WithoutSentenceMarkers(absl::string_view text);

}  // namespace lmserve

#endif  // LMSERVE_TEXT_IO_SENTENCE_MARKERS_H_
