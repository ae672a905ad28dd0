// SPDX-License-Identifier: Apache-2.0
#include "trainer/ngram/ngram_tree.h"

#include <algorithm>

namespace lmserve {

NgramTree::NgramTree(const NgramTable& table)
    : table_(table), suffixes_(table.order() - 1) {
  if (order() == 1) return;
  suffixes_[0].resize(table.levels[0].size());  // the root
  for (int k = 2; k < order(); ++k) {
    const NgramLevel& level = table.levels[k - 1];
    const uint32_t contexts = table.levels[k - 2].size();
    suffixes_[k - 1].resize(level.size());
    for (uint32_t i = 0; i < contexts; ++i) {
      const NgramPlace context = {k - 1, i};
      const Range children = Children(context);
      for (uint32_t child = children.first; child < children.last; ++child) {
        suffixes_[k - 1][child] =
            LongestMatch(Suffix(context), level.words[child]);
      }
    }
  }
}

NgramPlace NgramTree::Child(NgramPlace context, WordId word) const {
  if (context.order == 0) return {1, word};
  const Range children = Children(context);
  const WordId* words = table_.levels[context.order].words.data();
  const WordId* found =
      std::lower_bound(words + children.first, words + children.last, word);
  if (found == words + children.last || *found != word) return {};
  return {context.order + 1, static_cast<uint32_t>(found - words)};
}

NgramPlace NgramTree::LongestMatch(NgramPlace context, WordId word) const {
  for (;; context = Suffix(context)) {
    const NgramPlace found = Child(context, word);
    if (found.order > 0) return found;
  }
}

double NgramTree::Find(NgramPlace context, WordId word,
                       NgramPlace* found) const {
  double weight = 0;
  for (;; context = Suffix(context)) {
    *found = Child(context, word);
    if (found->order > 0) return weight + LogProb(*found);
    weight += Backoff(context);
  }
}

double NgramTree::Advance(NgramPlace* state, WordId word) const {
  NgramPlace found;
  const double log_prob = Find(*state, word, &found);
  if (found.order < order()) {
    *state = found;
  } else if (order() == 1) {
    *state = {};
  } else {
    // An n-gram of the highest order is no context.
    *state = LongestMatch(Suffix(*state), word);
  }
  return log_prob;
}

}  // namespace lmserve
