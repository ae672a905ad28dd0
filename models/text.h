// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_TEXT_H_
#define LMSERVE_MODELS_TEXT_H_

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
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

// Returns the high bit of each byte of `bytes` that IsSpace(), and no others.
inline uint64_t SpaceBits(uint64_t bytes) {
  constexpr uint64_t kOnes = 0x0101010101010101;
  constexpr uint64_t kHigh = kOnes << 7;
  // The sums of 7-bit numbers in their bytes have the high bit if the first one
  // is at least 0x80 less the second one.
  const uint64_t low = bytes & ~kHigh;
  const uint64_t control =
      (low + (0x80 - '\t') * kOnes) & ~(low + (0x7F - '\r') * kOnes);
  const uint64_t not_blank = (low ^ (' ' * kOnes)) + 0x7F * kOnes;
  const uint64_t not_nul = low + 0x7F * kOnes;
  return (control | ~not_blank | ~not_nul) & ~bytes & kHigh;
}

// Returns where the first space of a text is from `i` on, or the text's size.
inline size_t FindSpace(absl::string_view text, size_t i) {
  if constexpr (std::endian::native == std::endian::little) {
    // Most words end within 8 bytes, so that there is no loop to predict.
    for (; i + sizeof(uint64_t) <= text.size(); i += sizeof(uint64_t)) {
      uint64_t bytes;
      std::memcpy(&bytes, text.data() + i, sizeof(bytes));
      const uint64_t spaces = SpaceBits(bytes);
      if (spaces != 0) return i + std::countr_zero(spaces) / 8;
    }
  }
  while (i < text.size() && !IsSpace(text[i])) ++i;
  return i;
}

// Calls visit(absl::string_view) for each word of a text, split exactly as for
// training, by the tokenizer "whitespace". The views point into the text.
template <typename Visit>
void ForEachWord(absl::string_view text, const Visit& visit) {
  for (size_t i = 0; i < text.size();) {
    while (i < text.size() && IsSpace(text[i])) ++i;
    const size_t begin = i;
    i = FindSpace(text, i);
    if (i > begin) visit(text.substr(begin, i - begin));
  }
}

// Returns the words of a text, split as by ForEachWord().
std::vector<absl::string_view> SplitWords(absl::string_view text);

// Whether a text is exactly one word, without white space around it.
bool IsWord(absl::string_view text);

}  // namespace lmserve

#endif  // LMSERVE_MODELS_TEXT_H_
