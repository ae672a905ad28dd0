// SPDX-License-Identifier: Apache-2.0
#include "tests/models/ngram/random_table.h"

#include <algorithm>
#include <array>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "models/language_model.h"

namespace lmserve {

Vocabulary NumberedVocabulary(WordId size) {
  std::string text = "<unk>\n<s>\n</s>\n";
  for (WordId w = 3; w < size; ++w) absl::StrAppend(&text, "w", w, "\n");
  return Vocabulary::Parse(text).value();
}

NgramTable RandomTable(WordId size, UnseenRule rule, uint32_t seed,
                       uint32_t most_children) {
  std::mt19937 random(seed);
  const auto quantized = [&] { return -0.5f * (1 + random() % 20); };
  NgramTable table;
  table.rule = rule;
  if (rule == UnseenRule::kStupid) table.log_alpha = -0.75f;
  table.levels.resize(4);
  std::vector<WordId> words(size);
  for (WordId w = 0; w < size; ++w) words[w] = w;
  table.levels[0].words = words;
  words.erase(words.begin() + 1);  // only the unigram of <s> ends with <s>
  const std::array<uint32_t, 12> widths = {
      0, 1, 2, 15, 16, 17, 18, most_children, 33, 0, 0, 3};
  for (int k = 0; k < 4; ++k) {
    NgramLevel& level = table.levels[k];
    for (size_t i = 0; i < level.size(); ++i) {
      level.log_probs.push_back(quantized());
    }
    if (k == 0) level.log_probs[1] = kImpossible;
    if (k == 3) break;
    NgramLevel& next = table.levels[k + 1];
    for (size_t i = 0; i < level.size(); ++i) {
      level.backoffs.push_back(random() % 3 == 0 ? 0 : quantized());
      level.children.push_back(next.size());
      // The higher the order, the fewer contexts have children.
      if (random() % (1 + 3 * k) != 0) continue;
      std::shuffle(words.begin(), words.end(), random);
      const uint32_t width =
          std::min<uint32_t>(widths[random() % widths.size()], words.size());
      std::vector<WordId> children(words.begin(), words.begin() + width);
      std::sort(children.begin(), children.end());
      next.words.insert(next.words.end(), children.begin(), children.end());
    }
    level.children.push_back(next.size());
  }
  return table;
}

}  // namespace lmserve
