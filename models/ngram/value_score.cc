// SPDX-License-Identifier: Apache-2.0
//
// ValueModel::Score().
//
// With the contexts C_k of order k of a word w, the n-grams C_k w are looked up
// from the shortest on, until one is missing: longer ones are missing, too. Let
// f be the order of the longest n-gram found that is no blank. Then
//
//   ln P(w) = log_prob(n-gram of order f) + sum_{k >= f} backoff(C_k),
//
// where the sum of the floats begins with the longest context, as it does in
// ngram_score.cc.
//
// Tested by tests/conformance and tests/models/ngram/value_model_test.cc.

#include <algorithm>
#include <cmath>

#include "models/ngram/value_model.h"

namespace lmserve {
namespace {

// Scores the words of one text, one at a time.
class WordScorer {
 public:
  explicit WordScorer(const ValueModel& model)
      : model_(model), trie_(model.trie()) {}

  // Returns ln P(word | *chain) and advances the chain.
  float Score(WordId word, ValueModel::Chain* chain) const {
    ValueModel::Chain found;
    found.ids[0] = word;
    found.size = 1;
    uint32_t rank = word;
    for (int k = 0; k < chain->size; ++k) {
      const CountContext context(trie_.levels[k], chain->ids[k]);
      rank = context.Find(rank);
      if (rank == kNoRank) break;
      found.ids[found.size++] = context.first_child() + rank;
    }
    int order = found.size;  // of the longest n-gram that is no blank
    float log_prob;
    for (;; --order) {
      log_prob = trie_.log_probs[order - 1].Value(found.ids[order - 1]);
      if (!std::isnan(log_prob)) break;
    }
    log_prob = WithRule(*chain, order, log_prob);
    found.size = std::min(found.size, model_.order() - 1);
    found.remembered =
        std::min<uint32_t>(chain->remembered + 1, model_.order() - 1);
    *chain = found;
    return log_prob;
  }

 private:
  // Returns ln P of a word whose longest n-gram has this order and probability.
  float WithRule(const ValueModel::Chain& chain, int order,
                 float log_prob) const {
    switch (model_.rule()) {
      case UnseenRule::kBackOff: {
        float weight = 0;
        for (int k = chain.size; k >= order; --k) weight += Backoff(chain, k);
        return weight + log_prob;
      }
      case UnseenRule::kFloor: {
        const int longest = model_.FloorOrder(chain);
        return order > longest ? log_prob : Backoff(chain, longest);
      }
      case UnseenRule::kStupid:
        return model_.StupidWeight(chain.remembered, order - 1) + log_prob;
    }
    return log_prob;
  }

  float Backoff(const ValueModel::Chain& chain, int k) const {
    return trie_.backoffs[k - 1].Value(chain.ids[k - 1]);
  }

  const ValueModel& model_;
  const ValueTrie& trie_;
};

}  // namespace

void ValueModel::Score(absl::Span<const Query> batch) const {
  const WordScorer scorer(*this);
  for (const Query& query : batch) {
    Chain chain = Read(query.state);
    for (size_t i = 0; i < query.words.size(); ++i) {
      const float log_prob = scorer.Score(query.words[i], &chain);
      if (!query.log_probs.empty()) query.log_probs[i] = log_prob;
    }
    if (query.next_state != nullptr) Write(chain, query.next_state);
  }
}

}  // namespace lmserve
