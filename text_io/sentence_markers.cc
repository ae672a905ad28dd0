// SPDX-License-Identifier: Apache-2.0
#include "text_io/sentence_markers.h"

#include "absl/strings/strip.h"

namespace lmserve {
namespace {

// The characters at which the server splits texts.
constexpr absl::string_view kSpaces("\0\t\n\v\f\r ", 7);

}  // namespace

absl::string_view StripSpaces(absl::string_view text) {
  const size_t begin = text.find_first_not_of(kSpaces);
  if (begin == absl::string_view::npos) return "";
  return text.substr(begin, text.find_last_not_of(kSpaces) - begin + 1);
}

absl::string_view WithoutBeginMarker(absl::string_view text) {
  absl::string_view words = StripSpaces(text);
  if (!absl::ConsumePrefix(&words, "<s>")) return text;
  const bool is_word =
      words.empty() || kSpaces.find(words.front()) != absl::string_view::npos;
  return is_word ? StripSpaces(words) : text;
}

absl::string_view WithoutEndMarker(absl::string_view text) {
  absl::string_view words = StripSpaces(text);
  if (!absl::ConsumeSuffix(&words, "</s>")) return text;
  const bool is_word =
      words.empty() || kSpaces.find(words.back()) != absl::string_view::npos;
  return is_word ? StripSpaces(words) : text;
}

absl::string_view WithoutSentenceMarkers(absl::string_view text) {
  return WithoutEndMarker(WithoutBeginMarker(text));
}

}  // namespace lmserve
