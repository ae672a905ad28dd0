// SPDX-License-Identifier: Apache-2.0
//
// CountModel::Distribution() and TopK(): prediction of the next word.
//
// The best words are merged by ChildMerger. Since the children of a context are
// a subset of those of its suffix, a child of a suffix is hidden if the next
// longer context has it, too.
//
// Tested by tests/conformance and
// tests/models/ngram/compact/count_model_test.cc.

#include <algorithm>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

#include "models/ngram/compact/child_merger.h"
#include "models/ngram/compact/count_model.h"
#include "models/ngram/compact/log_probabilities.h"

namespace lmserve {
namespace {

// A next word with its probability.
using Candidate = ProposedWord<double>;

// The lists of the next words of a chain of contexts, for ChildMerger.
class CountLists {
 public:
  CountLists(const CountTrie& trie, std::vector<RankContext> contexts)
      : trie_(trie), contexts_(std::move(contexts)) {}

  absl::Span<const RankContext> contexts() const { return contexts_; }
  WordId vocabulary_size() const { return trie_.vocabulary_size; }

  Candidate Unigram(WordId i) const {
    const WordId word = trie_.BestUnigram(i);
    return {Discount(trie_.UnigramProbability(word), 0), word, word};
  }

  Candidate Child(size_t i, uint32_t child) const {
    const auto contexts = absl::MakeConstSpan(contexts_).subspan(0, i);
    const std::optional<ChildPath> path = FindPath(contexts, child);
    if (!path.has_value()) return {0, 0, child, false};
    return {Discount(trie_.Probability(contexts, *path), i), path->word, child};
  }

  bool IsHidden(size_t i, uint32_t child) const {
    return i < contexts_.size() && contexts_[i].Find(child) != kNoRank;
  }

 private:
  // Backs off from the contexts after the first i, which do not have the word.
  double Discount(double probability, size_t i) const {
    for (; i < contexts_.size(); ++i) {
      probability *= contexts_[i].weights().leftover;
    }
    return probability;
  }

  const CountTrie& trie_;
  std::vector<RankContext> contexts_;
};

// Computes distributions. Most words are no children of the contexts, and most
// of these share their counts, and so their probabilities, with many others:
// their logarithms are computed once. Reused for all states of a call.
class DistributionWriter {
 public:
  explicit DistributionWriter(const CountTrie& trie) : trie_(trie) {}

  void Write(absl::Span<const RankContext> contexts, float* log_probs) {
    if (trie_.counts32 != nullptr) {
      WriteUnigrams(trie_.counts32, contexts, log_probs);
    } else {
      WriteUnigrams(trie_.counts64, contexts, log_probs);
    }
    if (!contexts.empty()) WriteChildren(contexts, log_probs);
  }

 private:
  // Counts below this have an entry in a table.
  static constexpr uint32_t kTabulatedCounts = 1024;

  // Writes what all words have that are no children of the contexts.
  template <typename Count>
  void WriteUnigrams(const Count* counts,
                     absl::Span<const RankContext> contexts, float* log_probs) {
    const auto back_off = [&](double probability) {
      for (const RankContext& context : contexts) {
        probability *= context.weights().leftover;
      }
      return probability;
    };
    probabilities_.clear();
    for (uint32_t count = 0; count < kTabulatedCounts; ++count) {
      probabilities_.push_back(back_off(trie_.UnigramProbabilityOf(count)));
    }
    TakeLogarithms();
    const float* const logs = logs_.data();
    const WordId size = trie_.vocabulary_size;
    for (WordId w = 0; w < size; ++w) {
      const Count count = counts[w];
      log_probs[w] = logs[count < kTabulatedCounts ? count : 0];
    }
    words_.clear();
    probabilities_.clear();
    for (WordId i = 0; i < size; ++i) {
      const WordId word = trie_.BestUnigram(i);
      if (counts[word] < kTabulatedCounts) break;
      words_.push_back(word);
      probabilities_.push_back(back_off(trie_.UnigramProbability(word)));
    }
    words_.push_back(trie_.begin_sentence);
    probabilities_.push_back(0);
    WriteLogarithms(log_probs);
  }

  // Writes the children of the shortest context, which has those of the others.
  void WriteChildren(absl::Span<const RankContext> contexts, float* log_probs) {
    contexts[0].Ranks(&ranks_);
    words_.assign(ranks_.begin(), ranks_.end());
    const size_t size = words_.size();
    probabilities_.resize(size);
    const double leftover = contexts[0].weights().leftover;
    for (size_t i = 0; i < size; ++i) {
      probabilities_[i] = leftover * trie_.UnigramProbability(words_[i]) +
                          contexts[0].Share(static_cast<uint32_t>(i));
    }
    // The positions of the children of a context among those of the first.
    positions_.resize(size);
    std::iota(positions_.begin(), positions_.end(), 0);
    for (const RankContext& context : contexts.subspan(1)) {
      for (double& probability : probabilities_) {
        probability *= context.weights().leftover;
      }
      context.Ranks(&ranks_);
      for (uint32_t i = 0; i < ranks_.size(); ++i) {
        // A file may have ranks that its suffixes do not have.
        if (ranks_[i] >= positions_.size()) {
          ranks_.resize(i);
          break;
        }
        ranks_[i] = positions_[ranks_[i]];
        probabilities_[ranks_[i]] += context.Share(i);
      }
      positions_.swap(ranks_);
    }
    WriteLogarithms(log_probs);
  }

  // Writes the logarithms of probabilities_, which are of words_.
  void WriteLogarithms(float* log_probs) {
    TakeLogarithms();
    for (size_t i = 0; i < words_.size(); ++i) log_probs[words_[i]] = logs_[i];
  }

  void TakeLogarithms() {
    logs_.resize(probabilities_.size());
    LogProbabilities(probabilities_, absl::MakeSpan(logs_));
  }

  const CountTrie& trie_;
  std::vector<WordId> words_;
  std::vector<double> probabilities_;
  std::vector<float> logs_;
  std::vector<uint32_t> ranks_, positions_;
};

}  // namespace

void CountModel::Distribution(absl::Span<const std::byte* const> states,
                              float* log_probs) const {
  DistributionWriter writer(trie_);
  for (const std::byte* state : states) {
    CountChain chain;
    Read(state, &chain);
    writer.Write(Contexts(chain), log_probs);
    log_probs += vocabulary_.size();
  }
}

void CountModel::TopK(absl::Span<const std::byte* const> states, size_t k,
                      absl::Span<ScoredWord> best) const {
  std::vector<ScoredWord> words;
  for (size_t i = 0; i < states.size(); ++i) {
    CountChain chain;
    Read(states[i], &chain);
    ChildMerger<double, CountLists> merger({trie_, Contexts(chain)});
    words.clear();
    Candidate next;
    // Words with equal logarithms may come in any order, so all that have the
    // logarithm of the last are needed.
    while (merger.Next(&next)) {
      float log_prob;
      LogProbabilities({&next.score, 1}, {&log_prob, 1});
      if (words.size() >= k && log_prob < words[k - 1].log_prob) break;
      words.push_back({next.word, log_prob});
    }
    std::sort(words.begin(), words.end(), Likelier);
    std::copy_n(words.begin(), k, best.subspan(i * k, k).begin());
  }
}

}  // namespace lmserve
