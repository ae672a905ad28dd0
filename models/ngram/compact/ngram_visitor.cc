// SPDX-License-Identifier: Apache-2.0
#include "models/ngram/compact/ngram_visitor.h"

#include <optional>
#include <vector>

namespace lmserve {
namespace {

class NgramVisitor {
 public:
  NgramVisitor(absl::Span<const RankLevel> levels, int order,
               absl::FunctionRef<void(const VisitedNgram&)> visit)
      : levels_(levels), visit_(visit), words_(order) {}

  // Visits a unigram, or its descendants of the order.
  void Visit(WordId word) {
    words_[0] = word;
    if (words_.size() == 1) return visit_({words_, word, {}, {}});
    VisitChildren({word});
  }

 private:
  // Visits the children of a context, which is given by the ids of its
  // suffixes, shortest first, or their descendants.
  void VisitChildren(const std::vector<NgramId>& suffixes) {
    const size_t depth = suffixes.size();
    std::vector<RankContext> contexts;
    contexts.reserve(depth);
    for (size_t k = 0; k < depth; ++k) {
      contexts.emplace_back(levels_[k], suffixes[k]);
    }
    std::vector<NgramId> next(depth + 1);
    for (uint32_t i = 0; i < contexts.back().size(); ++i) {
      const std::optional<ChildPath> path = FindPath(contexts, i);
      if (!path.has_value()) continue;
      words_[depth] = path->word;
      if (depth + 1 == words_.size()) {
        visit_({words_, contexts.back().first_child() + i, contexts, *path});
        continue;
      }
      next[0] = path->word;
      for (size_t k = 0; k < depth; ++k) {
        next[k + 1] = contexts[k].first_child() + path->positions[k];
      }
      VisitChildren(next);
    }
  }

  const absl::Span<const RankLevel> levels_;
  const absl::FunctionRef<void(const VisitedNgram&)> visit_;
  std::vector<WordId> words_;
};

}  // namespace

void ForEachNgram(absl::Span<const RankLevel> levels, WordId vocabulary_size,
                  int order,
                  absl::FunctionRef<void(const VisitedNgram&)> visit) {
  NgramVisitor visitor(levels, order, visit);
  for (WordId word = 0; word < vocabulary_size; ++word) visitor.Visit(word);
}

}  // namespace lmserve
