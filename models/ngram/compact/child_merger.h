// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_NGRAM_COMPACT_CHILD_MERGER_H_
#define LMSERVE_MODELS_NGRAM_COMPACT_CHILD_MERGER_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "models/ngram/compact/rank_trie.h"
#include "models/vocabulary.h"

namespace lmserve {

// A next word that one of the contexts proposes.
template <typename Score>
struct ProposedWord {
  Score score;  // given the context that was asked for
  WordId word;
  uint32_t child;      // its position among the children of that context
  bool exists = true;  // false for what is no n-gram of the model
};

template <typename Score>
bool IsLikelier(const ProposedWord<Score>& a, const ProposedWord<Score>& b) {
  if (a.score != b.score) return a.score > b.score;
  return a.word < b.word;
}

// Yields the next words of a context h, each once, by descending score.
//
// The candidates are the children of h, the children of its suffix h', and so
// on to all words. A word that is a child of several of them gets its score
// from the longest. Each of these lists is sorted by score, or is short enough
// to be sorted now, so merging them yields the k best words after little more
// than k steps.
//
// The source of the lists has these members, where list 0 has all words and
// list i the children of contexts()[i - 1]:
//
//   absl::Span<const RankContext> contexts() const;      // shortest first
//   WordId vocabulary_size() const;
//   ProposedWord<Score> Unigram(WordId i) const;         // the i-th best word
//   ProposedWord<Score> Child(size_t i, uint32_t child) const;
//   // Whether a longer context has the word of a child of list i.
//   bool IsHidden(size_t i, uint32_t child) const;
//
// Not thread-safe. Owns the source.
template <typename Score, typename Source>
class ChildMerger {
 public:
  explicit ChildMerger(Source source) : source_(std::move(source)) {
    lists_.resize(source_.contexts().size() + 1);
    for (size_t i = 0; i < lists_.size(); ++i) Read(i);
  }

  // Returns false after the last word.
  bool Next(ProposedWord<Score>* next) {
    for (;;) {
      List* best = nullptr;
      for (List& list : lists_) {
        if (list.ended) continue;
        if (best == nullptr || IsLikelier(list.head, best->head)) best = &list;
      }
      if (best == nullptr) return false;
      const size_t i = best - lists_.data();
      *next = best->head;
      ++best->position;
      Read(i);
      if (next->exists && !source_.IsHidden(i, next->child)) return true;
    }
  }

 private:
  struct List {
    ProposedWord<Score> head;
    uint32_t position = 0;
    bool ended = false;
    std::vector<ProposedWord<Score>> sorted;  // all, if they are not stored
  };

  // Reads the head of a list at its position.
  void Read(size_t i) {
    List& list = lists_[i];
    if (i == 0) {
      list.ended = list.position == source_.vocabulary_size();
      if (!list.ended) list.head = source_.Unigram(list.position);
      return;
    }
    const RankContext& context = source_.contexts()[i - 1];
    if (context.has_best() && list.position < kListedChildren) {
      list.head = source_.Child(i, context.Best(list.position));
      return;
    }
    if (list.sorted.empty()) Sort(i, context.size(), &list.sorted);
    list.ended = list.position >= list.sorted.size();
    if (!list.ended) list.head = list.sorted[list.position];
  }

  void Sort(size_t i, uint32_t size,
            std::vector<ProposedWord<Score>>* sorted) const {
    sorted->reserve(size);
    for (uint32_t child = 0; child < size; ++child) {
      sorted->push_back(source_.Child(i, child));
    }
    std::sort(sorted->begin(), sorted->end(), IsLikelier<Score>);
  }

  const Source source_;
  std::vector<List> lists_;
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NGRAM_COMPACT_CHILD_MERGER_H_
