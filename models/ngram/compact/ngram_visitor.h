// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_NGRAM_COMPACT_NGRAM_VISITOR_H_
#define LMSERVE_MODELS_NGRAM_COMPACT_NGRAM_VISITOR_H_

#include "absl/functional/function_ref.h"
#include "absl/types/span.h"
#include "models/ngram/compact/rank_trie.h"
#include "models/vocabulary.h"

namespace lmserve {

// An n-gram of a trie of ranks, with what was found on the way to it.
struct VisitedNgram {
  absl::Span<const WordId> words;
  NgramId id;
  // The words before the last and the suffixes of them, shortest first, and the
  // path of the last word among their children. Empty for a unigram.
  absl::Span<const RankContext> contexts;
  ChildPath path;
};

// Calls visit for the n-grams of an order, in the order of their ids. Skips
// those of a damaged file that a suffix does not have.
void ForEachNgram(absl::Span<const RankLevel> levels, WordId vocabulary_size,
                  int order,
                  absl::FunctionRef<void(const VisitedNgram&)> visit);

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NGRAM_COMPACT_NGRAM_VISITOR_H_
