// SPDX-License-Identifier: Apache-2.0
//
// ValueModel::Distribution() and TopK(): prediction of the next word, as in
// ngram_predict.cc, over the trie of count_predict.cc. All log-probabilities
// are those of value_score.cc.
//
// Tested by tests/conformance and
// tests/models/ngram/compact/value_model_test.cc.

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>
#include <vector>

#include "absl/base/macros.h"
#include "absl/container/flat_hash_set.h"
#include "models/ngram/compact/child_merger.h"
#include "models/ngram/compact/value_model.h"

namespace lmserve {
namespace {

// The contexts of a state, and what is added to the log-probabilities of their
// children.
struct Sources {
  Sources(const ValueModel& model, const std::byte* state)
      : chain(model.Read(state)), contexts(model.Contexts(chain)) {
    weights.resize(contexts.size() + 1);
    float weight = 0;
    for (int k = chain.size; k >= 0; --k) {
      if (model.rule() == UnseenRule::kStupid) {
        weight = model.StupidWeight(chain.remembered, k);
      }
      weights[k] = weight;
      if (k > 0) {
        weight += model.trie().backoffs[k - 1].Value(chain.ids[k - 1]);
      }
    }
  }

  ValueModel::Chain chain;
  std::vector<RankContext> contexts;  // shortest first
  std::vector<float> weights;  // weights[k] of the children of the context of
                               // order k
};

// Reads the values of consecutive n-grams.
void ReadValues(const ValueCodes& codes, NgramId first,
                absl::Span<float> values) {
  if (codes.cells == nullptr && codes.kind == CodeKind::kTable) {
    uint64_t bit = first * codes.bits;
    for (float& value : values) {
      value =
          codes.table[ReadBits(codes.codes, bit, static_cast<int>(codes.bits))];
      bit += codes.bits;
    }
    return;
  }
  for (size_t i = 0; i < values.size(); ++i) values[i] = codes.Value(first + i);
}

// Calls visit(word, value) for the children of the last of some contexts that
// have a probability, in the order of their ids. Overwrites *values.
template <typename Visit>
void ForEachChild(const ValueTrie& trie,
                  absl::Span<const std::vector<WordId>> words,
                  absl::Span<const RankContext> contexts,
                  std::vector<float>* values, const Visit& visit) {
  const std::vector<WordId>& children = words[contexts.size() - 1];
  values->resize(children.size());
  ReadValues(trie.log_probs[contexts.size()], contexts.back().first_child(),
             absl::MakeSpan(*values));
  for (size_t i = 0; i < children.size(); ++i) {
    const float value = (*values)[i];
    if (!std::isnan(value)) visit(children[i], value);
  }
}

// Returns the words of the children of each context.
std::vector<std::vector<WordId>> ChildWords(
    absl::Span<const RankContext> contexts) {
  std::vector<std::vector<WordId>> words(contexts.size());
  std::vector<uint32_t> ranks;
  for (size_t k = 0; k < contexts.size(); ++k) {
    contexts[k].Ranks(&ranks);
    for (uint32_t rank : ranks) {
      // A file may have ranks that its suffixes do not have.
      if (k > 0 && rank >= words[k - 1].size()) break;
      words[k].push_back(k == 0 ? rank : words[k - 1][rank]);
    }
  }
  return words;
}

void FillDistribution(const ValueModel& model, const std::byte* state,
                      absl::Span<float> log_probs) {
  const ValueTrie& trie = model.trie();
  const Sources sources(model, state);
  const auto words = ChildWords(sources.contexts);
  const auto contexts = absl::MakeConstSpan(sources.contexts);
  std::vector<float> values;
  if (model.rule() == UnseenRule::kFloor) {
    const int longest = model.FloorOrder(sources.chain);
    if (longest > 0) {
      std::fill(
          log_probs.begin(), log_probs.end(),
          trie.backoffs[longest - 1].Value(sources.chain.ids[longest - 1]));
      log_probs[model.vocabulary().begin_sentence()] = kImpossible;
      ForEachChild(trie, words, contexts.subspan(0, longest), &values,
                   [&](WordId word, float value) { log_probs[word] = value; });
      return;
    }
  }
  ReadValues(trie.log_probs[0], 0, log_probs);
  for (float& log_prob : log_probs) log_prob = sources.weights[0] + log_prob;
  if (model.rule() == UnseenRule::kFloor) return;
  for (size_t k = 1; k <= contexts.size(); ++k) {
    ForEachChild(trie, words, contexts.subspan(0, k), &values,
                 [&](WordId word, float value) {
                   log_probs[word] = sources.weights[k] + value;
                 });
  }
}

// A next word with its log-probability.
using Candidate = ProposedWord<float>;

// The lists of the next words of a state, for ChildMerger.
class ValueLists {
 public:
  ValueLists(const ValueModel& model, const std::byte* state)
      : trie_(model.trie()), sources_(model, state) {}

  absl::Span<const RankContext> contexts() const { return sources_.contexts; }
  WordId vocabulary_size() const { return trie_.vocabulary_size; }

  Candidate Unigram(WordId i) const {
    const WordId word = trie_.BestUnigram(i);
    return {sources_.weights[0] + trie_.UnigramLogProb(word), word, word};
  }

  // Blanks do not exist.
  Candidate Child(size_t i, uint32_t child) const {
    const auto contexts = this->contexts().subspan(0, i);
    const float value =
        trie_.log_probs[i].Value(contexts.back().first_child() + child);
    const std::optional<ChildPath> path = FindPath(contexts, child);
    if (!path.has_value() || std::isnan(value)) {
      return {kImpossible, 0, child, false};
    }
    return {sources_.weights[i] + value, path->word, child};
  }

  bool IsHidden(size_t i, uint32_t child) const {
    for (size_t k = i; k < sources_.contexts.size(); ++k) {
      const RankContext& context = sources_.contexts[k];
      child = context.Find(child);
      if (child == kNoRank) return false;
      if (!std::isnan(
              trie_.log_probs[k + 1].Value(context.first_child() + child))) {
        return true;
      }
    }
    return false;
  }

 private:
  const ValueTrie& trie_;
  Sources sources_;
};

// Adds words that are not in *words yet, by ascending id, all impossible, up to
// `size` words in all.
void AddImpossible(size_t size, WordId vocabulary,
                   std::vector<ScoredWord>* words) {
  absl::flat_hash_set<WordId> taken;
  for (const ScoredWord& word : *words) taken.insert(word.word);
  for (WordId w = 0; w < vocabulary && words->size() < size; ++w) {
    if (!taken.contains(w)) words->push_back({w, kImpossible});
  }
}

void FillTopK(const ValueModel& model, const std::byte* state,
              absl::Span<ScoredWord> best) {
  ChildMerger<float, ValueLists> merger({model, state});
  std::vector<ScoredWord> words;
  Candidate next;
  // Words with equal log-probabilities may come in any order, so all that have
  // that of the last are needed.
  while (merger.Next(&next) && next.score != kImpossible) {
    if (words.size() >= best.size() &&
        next.score < words[best.size() - 1].log_prob) {
      break;
    }
    words.push_back({next.word, next.score});
  }
  AddImpossible(best.size(), model.vocabulary().size(), &words);
  std::sort(words.begin(), words.end(), Likelier);
  std::copy_n(words.begin(), best.size(), best.begin());
}

}  // namespace

void ValueModel::Distribution(absl::Span<const std::byte* const> states,
                              float* log_probs) const {
  const size_t words = vocabulary_.size();
  for (size_t i = 0; i < states.size(); ++i) {
    FillDistribution(*this, states[i], {log_probs + i * words, words});
  }
}

void ValueModel::TopK(absl::Span<const std::byte* const> states, size_t k,
                      absl::Span<ScoredWord> best) const {
  ABSL_ASSERT(k >= 1 && k <= vocabulary_.size());
  for (size_t i = 0; i < states.size(); ++i) {
    const absl::Span<ScoredWord> row = best.subspan(i * k, k);
    if (rule() == UnseenRule::kFloor) {
      // Nearly all words have the same probability: a list of them is no help.
      LanguageModel::TopK({&states[i], 1}, k, row);
    } else {
      FillTopK(*this, states[i], row);
    }
  }
}

}  // namespace lmserve
