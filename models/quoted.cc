// SPDX-License-Identifier: Apache-2.0
#include "models/quoted.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "models/utf8.h"

namespace lmserve {

std::string Quoted(absl::string_view bytes) {
  constexpr size_t kMaxBytes = 80;
  absl::string_view shown = bytes.substr(0, kMaxBytes);
  // Does not cut a character in two.
  const size_t invalid = FindInvalidUtf8(shown);
  if (invalid != absl::string_view::npos && shown.size() < bytes.size() &&
      shown.size() - invalid < 4) {
    shown = shown.substr(0, invalid);
  }
  const bool valid = FindInvalidUtf8(shown) == absl::string_view::npos;
  // Quotes and backslashes are harmless between quotes of a message.
  const std::string escaped = absl::StrReplaceAll(
      valid ? absl::Utf8SafeCHexEscape(shown) : absl::CHexEscape(shown),
      {{"\\'", "'"}, {"\\\"", "\""}, {"\\\\", "\\"}});
  return absl::StrCat("'", escaped, shown.size() < bytes.size() ? "..." : "",
                      "'");
}

}  // namespace lmserve
