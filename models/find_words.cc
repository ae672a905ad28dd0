// SPDX-License-Identifier: Apache-2.0
#include "models/find_words.h"

#include "models/text.h"

namespace lmserve {

void AppendWords(const Vocabulary& vocabulary, absl::string_view text,
                 std::vector<WordId>* ids) {
  WordFinder finder(vocabulary, ids);
  ForEachWord(text, [&](absl::string_view word) { finder.Add(word); });
  finder.Finish();
}

std::vector<WordId> FindWords(const Vocabulary& vocabulary,
                              absl::string_view text) {
  std::vector<WordId> ids;
  AppendWords(vocabulary, text, &ids);
  return ids;
}

}  // namespace lmserve
