// SPDX-License-Identifier: Apache-2.0
#include "models/printable_text.h"

#include <cstdint>

#include "absl/strings/str_cat.h"

namespace lmserve {
namespace {

constexpr absl::string_view kGap = " ... ";

bool IsContinuation(char c) {
  return (static_cast<unsigned char>(c) & 0xC0) == 0x80;
}

// Returns the length of the UTF-8 character at the beginning of a text that is
// not empty, and sets the character. Returns 0 if the bytes are not UTF-8.
size_t Decode(absl::string_view text, uint32_t* character) {
  const auto first = static_cast<unsigned char>(text[0]);
  if (first < 0x80) {
    *character = first;
    return 1;
  }
  const size_t size = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || text.size() < size) return 0;
  uint32_t value = first & (0x7F >> size);
  for (size_t i = 1; i < size; ++i) {
    if (!IsContinuation(text[i])) return 0;
    value = value << 6 | (static_cast<unsigned char>(text[i]) & 0x3F);
  }
  const bool is_overlong =
      (size == 3 && value < 0x800) || (size == 4 && value < 0x10000);
  const bool is_surrogate = value >= 0xD800 && value < 0xE000;
  if (is_overlong || is_surrogate || value > 0x10FFFF) return 0;
  *character = value;
  return size;
}

// Whether a character may stand in a message: no control character, no
// separator of lines and no mark that changes the direction of what follows.
bool IsPrintable(uint32_t c) {
  if (c < 0x20 || (c >= 0x7F && c < 0xA0)) return false;
  return c != 0x061C && c != 0x200E && c != 0x200F &&
         !(c >= 0x2028 && c <= 0x202E) && !(c >= 0x2066 && c <= 0x2069) &&
         c != 0xFEFF;
}

void AppendEscaped(absl::string_view bytes, std::string* text) {
  for (char c : bytes) {
    absl::StrAppend(text, "\\x",
                    absl::Hex(static_cast<unsigned char>(c), absl::kZeroPad2));
  }
}

std::string Escaped(absl::string_view bytes) {
  std::string text;
  while (!bytes.empty()) {
    uint32_t character = 0;
    const size_t size = Decode(bytes, &character);
    const absl::string_view next = bytes.substr(0, size == 0 ? 1 : size);
    if (size > 0 && IsPrintable(character)) {
      text.append(next.data(), next.size());
    } else {
      AppendEscaped(next, &text);
    }
    bytes.remove_prefix(next.size());
  }
  return text;
}

}  // namespace

std::string Printable(absl::string_view bytes, size_t max_bytes) {
  if (bytes.size() <= max_bytes) {
    std::string text = Escaped(bytes);
    if (text.size() <= max_bytes) return text;
    // Escapes are ASCII, so the same function finds where to cut.
    return Printable(text, max_bytes);
  }
  const size_t kept = max_bytes - kGap.size();
  size_t head = kept - kept / 2, tail = bytes.size() - kept / 2;
  // A character has at most three continuation bytes.
  for (int i = 0; i < 3 && IsContinuation(bytes[head]); ++i) --head;
  for (int i = 0; i < 3 && IsContinuation(bytes[tail]); ++i) ++tail;
  return Printable(absl::StrCat(Escaped(bytes.substr(0, head)), kGap,
                                Escaped(bytes.substr(tail))),
                   max_bytes);
}

}  // namespace lmserve
