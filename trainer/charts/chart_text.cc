// SPDX-License-Identifier: Apache-2.0
#include "trainer/charts/chart_text.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "models/utf8.h"

namespace lmserve {
namespace {

constexpr absl::string_view kReplacement = "\uFFFD";
constexpr absl::string_view kEllipsis = "\u2026";

// Returns the number of bytes of a character, given the first byte.
size_t Size(char first) {
  const auto byte = static_cast<unsigned char>(first);
  return byte < 0xC0 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
}

bool IsXml(absl::string_view character) {
  if (static_cast<unsigned char>(character[0]) < ' ') {
    return character == "\t" || character == "\n" || character == "\r";
  }
  return character != "\uFFFE" && character != "\uFFFF";
}

// Splits valid UTF-8 into characters.
void Split(absl::string_view text, std::vector<absl::string_view>* characters) {
  while (!text.empty()) {
    const absl::string_view next = text.substr(0, Size(text[0]));
    characters->push_back(IsXml(next) ? next : kReplacement);
    text.remove_prefix(next.size());
  }
}

// Splits any bytes into characters; invalid bytes become U+FFFD.
std::vector<absl::string_view> Characters(absl::string_view text) {
  std::vector<absl::string_view> characters;
  size_t bad;
  while ((bad = FindInvalidUtf8(text)) != absl::string_view::npos) {
    Split(text.substr(0, bad), &characters);
    characters.push_back(kReplacement);
    text.remove_prefix(bad + 1);
  }
  Split(text, &characters);
  return characters;
}

absl::string_view Escaped(absl::string_view character) {
  switch (character[0]) {
    case '&':
      return "&amp;";
    case '<':
      return "&lt;";
    case '>':
      return "&gt;";
    case '"':
      return "&quot;";
    default:
      return character;
  }
}

}  // namespace

std::string XmlText(absl::string_view text, size_t at_most) {
  std::vector<absl::string_view> characters = Characters(text);
  if (characters.size() > at_most) {
    const auto cut = characters.begin() + at_most / 2;
    *cut = kEllipsis;
    characters.erase(cut + 1, cut + 1 + (characters.size() - at_most));
  }
  std::string xml;
  for (absl::string_view character : characters) {
    absl::StrAppend(&xml, Escaped(character));
  }
  return xml;
}

}  // namespace lmserve
