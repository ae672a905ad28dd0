// SPDX-License-Identifier: Apache-2.0
#include "models/printable_text.h"

#include <cstdint>

#include "absl/strings/str_cat.h"
#include "models/utf8.h"

namespace lmserve {
namespace {

constexpr absl::string_view kGap = " ... ";

bool IsContinuation(char c) {
  return (static_cast<unsigned char>(c) & 0xC0) == 0x80;
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
    const size_t size = DecodeUtf8(bytes, &character);
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
