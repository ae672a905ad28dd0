// SPDX-License-Identifier: Apache-2.0
#include "models/text.h"

#include <algorithm>

namespace lmserve {
std::vector<absl::string_view> SplitWords(absl::string_view text) {
  std::vector<absl::string_view> words;
  ForEachWord(text, [&](absl::string_view word) { words.push_back(word); });
  return words;
}

bool IsWord(absl::string_view text) {
  return !text.empty() && std::none_of(text.begin(), text.end(), IsSpace);
}

}  // namespace lmserve
