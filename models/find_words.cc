// SPDX-License-Identifier: Apache-2.0
#include "models/find_words.h"

#include "models/text.h"

namespace lmserve {

std::vector<WordId> FindWords(const Vocabulary& vocabulary,
                              absl::string_view text) {
  std::vector<WordId> words;
  ForEachWord(text, [&](absl::string_view word) {
    words.push_back(vocabulary.Find(word));
  });
  return words;
}

}  // namespace lmserve
