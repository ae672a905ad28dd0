// SPDX-License-Identifier: Apache-2.0
#include "models/find_words.h"

#include "absl/types/span.h"
#include "models/text.h"

namespace lmserve {

void WordFinder::Finish() {
  const size_t before = ids_.size();
  ids_.resize(before + count_);
  vocabulary_.FindAll(absl::MakeConstSpan(words_).first(count_),
                      ids_.data() + before);
  count_ = 0;
}

std::vector<WordId> FindWords(const Vocabulary& vocabulary,
                              absl::string_view text) {
  std::vector<WordId> ids;
  WordFinder finder(vocabulary, &ids);
  ForEachWord(text, [&](absl::string_view word) { finder.Add(word); });
  finder.Finish();
  return ids;
}

}  // namespace lmserve
