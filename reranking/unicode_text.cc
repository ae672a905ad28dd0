// SPDX-License-Identifier: Apache-2.0
#include "reranking/unicode_text.h"

#include <cstdint>

namespace lmserve {
namespace {

constexpr char32_t kReplacement = 0xFFFD;

// Returns the number of bytes of a character from its first byte, or 0 if no
// character begins with this byte.
int CharacterLength(uint8_t first) {
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first < 0xE0) return 2;
  if (first >= 0xE0 && first < 0xF0) return 3;
  if (first >= 0xF0 && first < 0xF5) return 4;
  return 0;
}

bool IsContinuation(char byte) {
  return (static_cast<uint8_t>(byte) & 0xC0) == 0x80;
}

// Removes the first code point from a text, which must not be empty, and
// returns it.
char32_t TakeCodePoint(absl::string_view* text) {
  const auto first = static_cast<uint8_t>(text->front());
  const int length = CharacterLength(first);
  text->remove_prefix(1);
  if (length == 1) return first;
  if (length == 0) return kReplacement;
  char32_t code_point = first & (0x7F >> length);
  for (int i = 1; i < length; ++i) {
    if (text->size() < static_cast<size_t>(i) ||
        !IsContinuation((*text)[i - 1])) {
      return kReplacement;
    }
    code_point =
        code_point << 6 | (static_cast<uint8_t>((*text)[i - 1]) & 0x3F);
  }
  text->remove_prefix(length - 1);
  return code_point;
}

void AppendUtf8(char32_t code_point, std::string* text) {
  if (code_point < 0x80) {
    text->push_back(static_cast<char>(code_point));
    return;
  }
  const int length = code_point < 0x800 ? 2 : code_point < 0x10000 ? 3 : 4;
  const uint32_t mark = 0xF00 >> length & 0xFF;  // one leading 1 bit per byte
  text->push_back(static_cast<char>(mark | code_point >> (6 * (length - 1))));
  for (int i = length - 2; i >= 0; --i) {
    text->push_back(static_cast<char>(0x80 | (code_point >> (6 * i) & 0x3F)));
  }
}

}  // namespace

std::u32string ToCodePoints(absl::string_view text) {
  std::u32string code_points;
  code_points.reserve(text.size());
  while (!text.empty()) code_points.push_back(TakeCodePoint(&text));
  return code_points;
}

std::string ToUtf8(std::u32string_view code_points) {
  std::string text;
  for (char32_t code_point : code_points) AppendUtf8(code_point, &text);
  return text;
}

bool IsUnicodeSpace(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 ||
         c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) ||
         c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

std::vector<std::string> SplitAtUnicodeSpace(std::u32string_view text) {
  std::vector<std::string> parts;
  bool inside = false;
  for (char32_t c : text) {
    if (IsUnicodeSpace(c)) {
      inside = false;
      continue;
    }
    if (!inside) parts.emplace_back();
    inside = true;
    AppendUtf8(c, &parts.back());
  }
  return parts;
}

}  // namespace lmserve
