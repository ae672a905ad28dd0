// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_TEXT_H_
#define LMSERVE_MODELS_TEXT_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/strings/string_view.h"

namespace lmserve {

// Whether a character separates words: ASCII white space (space, tab, CR, LF,
// VT, FF) and NUL do. Other Unicode spaces are part of a word.
inline bool IsSpace(char c) {
  constexpr uint64_t kSpaces = uint64_t{1} << '\0' | uint64_t{1} << '\t' |
                               uint64_t{1} << '\n' | uint64_t{1} << '\v' |
                               uint64_t{1} << '\f' | uint64_t{1} << '\r' |
                               uint64_t{1} << ' ';
  const auto byte = static_cast<unsigned char>(c);
  return byte <= ' ' && (kSpaces >> byte & 1) != 0;
}

// Calls visit(absl::string_view) for each word of a text, split exactly as for
// training, by the tokenizer "whitespace". The views point into the text.
template <typename Visit>
void ForEachWord(absl::string_view text, const Visit& visit) {
  for (size_t i = 0; i < text.size();) {
    while (i < text.size() && IsSpace(text[i])) ++i;
    const size_t begin = i;
    while (i < text.size() && !IsSpace(text[i])) ++i;
    if (i > begin) visit(text.substr(begin, i - begin));
  }
}

// Returns the words of a text, split as by ForEachWord().
std::vector<absl::string_view> SplitWords(absl::string_view text);

// Whether a text is exactly one word, without white space around it.
bool IsWord(absl::string_view text);

}  // namespace lmserve

#endif  // LMSERVE_MODELS_TEXT_H_
