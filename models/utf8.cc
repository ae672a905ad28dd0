// SPDX-License-Identifier: Apache-2.0
#include "models/utf8.h"

#include <cstring>

namespace lmserve {

size_t DecodeUtf8(absl::string_view text, uint32_t* character) {
  const auto first = static_cast<unsigned char>(text[0]);
  if (first < 0x80) {
    *character = first;
    return 1;
  }
  const size_t size = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || text.size() < size) return 0;
  uint32_t value = first & (0x7F >> size);
  for (size_t i = 1; i < size; ++i) {
    const auto next = static_cast<unsigned char>(text[i]);
    if ((next & 0xC0) != 0x80) return 0;
    value = value << 6 | (next & 0x3F);
  }
  const bool is_overlong =
      (size == 3 && value < 0x800) || (size == 4 && value < 0x10000);
  const bool is_surrogate = value >= 0xD800 && value < 0xE000;
  if (is_overlong || is_surrogate || value > 0x10FFFF) return 0;
  *character = value;
  return size;
}

size_t FindInvalidUtf8(absl::string_view text) {
  size_t i = 0;
  while (i < text.size()) {
    // Eight ASCII characters at once.
    uint64_t eight = 0x80;
    if (i + 8 <= text.size()) std::memcpy(&eight, text.data() + i, 8);
    if ((eight & 0x8080808080808080) == 0) {
      i += 8;
      continue;
    }
    uint32_t character;
    const size_t length = DecodeUtf8(text.substr(i), &character);
    if (length == 0) return i;
    i += length;
  }
  return absl::string_view::npos;
}

}  // namespace lmserve
