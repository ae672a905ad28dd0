// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_NGRAM_NGRAM_TREE_H_
#define LMSERVE_TRAINER_NGRAM_NGRAM_TREE_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "models/ngram/ngram_table.h"

namespace lmserve {

// An n-gram of an NgramTable: the one with this index in the level of its
// order. Order 0 is the root, the empty context.
struct NgramPlace {
  int order = 0;
  uint32_t index = 0;

  friend bool operator==(const NgramPlace& a, const NgramPlace& b) {
    return a.order == b.order && a.index == b.index;
  }
};

// Computes probabilities from a table with UnseenRule::kBackOff. Suffixes of an
// n-gram may be missing in the table, as in a pruned model; a context that is
// missing has the back-off weight 1.
//
// Needs 8 bytes of memory for each n-gram below the highest order. Reads the
// log-probabilities and back-off weights from the table at each call, so they
// may change; the n-grams must not. Does not own the table, which must outlive
// it. Any number of threads may use it while the table does not change.
class NgramTree {
 public:
  // REQUIRES: the children of each context are sorted by word, and order 1 has
  // the word w at index w.
  explicit NgramTree(const NgramTable& table);

  int order() const { return table_.order(); }

  // Returns the number of n-grams of an order.
  uint32_t Size(int order) const {
    return static_cast<uint32_t>(table_.levels[order - 1].size());
  }

  // Returns the indexes [first, last) of the children of a context in the next
  // order. REQUIRES: context.order < order().
  struct Range {
    uint32_t first, last;
  };
  Range Children(NgramPlace context) const {
    if (context.order == 0) {
      return {0, static_cast<uint32_t>(table_.levels[0].size())};
    }
    const std::vector<uint32_t>& children =
        table_.levels[context.order - 1].children;
    return {children[context.index], children[context.index + 1]};
  }

  // Returns the last words of these children, in ascending order.
  absl::Span<const WordId> ChildWords(NgramPlace context) const {
    const Range children = Children(context);
    return absl::MakeConstSpan(table_.levels[context.order].words)
        .subspan(children.first, children.last - children.first);
  }

  // Returns the n-gram context + word, or the root if it does not exist.
  // REQUIRES: context.order < order().
  NgramPlace Child(NgramPlace context, WordId word) const;

  // Returns the longest proper suffix of a context that is an n-gram of the
  // table, or the root. REQUIRES: 1 <= context.order < order().
  NgramPlace Suffix(NgramPlace context) const {
    return suffixes_[context.order - 1][context.index];
  }

  // Returns the last word of an n-gram. REQUIRES: place.order >= 1.
  WordId Word(NgramPlace place) const {
    return table_.levels[place.order - 1].words[place.index];
  }

  // Returns ln of the probability or of the back-off weight that the table has
  // for an n-gram. REQUIRES: place.order >= 1; for the weight, < order().
  float LogProb(NgramPlace place) const {
    return table_.levels[place.order - 1].log_probs[place.index];
  }
  float Backoff(NgramPlace context) const {
    return table_.levels[context.order - 1].backoffs[context.index];
  }

  // Returns ln P(word | context). REQUIRES: context.order < order().
  double Score(NgramPlace context, WordId word) const {
    NgramPlace found;
    return Find(context, word, &found);
  }

  // Returns ln P(word | *state), and sets *state to the longest context of the
  // table that ends the text with the word. REQUIRES: state->order < order().
  double Advance(NgramPlace* state, WordId word) const;

 private:
  // Returns ln P(word | context), and sets *found to the n-gram that gave it.
  double Find(NgramPlace context, WordId word, NgramPlace* found) const;

  // Returns the longest n-gram that is a suffix of the context and the word:
  // the first that is found from the context down.
  NgramPlace LongestMatch(NgramPlace context, WordId word) const;

  const NgramTable& table_;
  std::vector<std::vector<NgramPlace>> suffixes_;  // by order - 1, then index
};

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_NGRAM_NGRAM_TREE_H_
