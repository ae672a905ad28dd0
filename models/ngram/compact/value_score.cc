// SPDX-License-Identifier: Apache-2.0
//
// ValueModel::Score(): looks up many words at once.
//
// With N_k(t) and C_k(t) as in count_score.cc, the n-grams of word t are looked
// up from the shortest on, until one is missing: longer ones are missing, too.
// Let f be the order of the longest that is no blank. Then
//
//   ln P(w_t) = log_prob(N_f(t)) + sum_{k >= f} backoff(C_k(t)),
//
// where the sum of the floats begins with the longest context, as it does in
// ngram_score.cc. So only a few of the values are read, all of them after the
// look-ups, when their addresses are known.
//
// As there, a block of words is processed order by order, and each order in
// passes that prefetch the memory of later passes. They use AVX2 and BMI2;
// other processors score a word at a time with RankContext.
//
// Tested by tests/conformance and
// tests/models/ngram/compact/value_model_test.cc.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "models/ngram/compact/value_model.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "models/ngram/compact/value_score.cc"
// Of the instruction sets, only AVX2 makes a difference.
#define HWY_DISABLED_TARGETS (~(HWY_BASELINE_TARGETS | HWY_AVX2))
#include "hwy/foreach_target.h"
// Highway requires these includes after foreach_target.h.
#include "hwy/highway.h"
#include "models/ngram/compact/child_lookup-inl.h"
#include "models/ngram/compact/level_walker-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lmserve {
namespace HWY_NAMESPACE {
namespace {

// The n-grams that end at a word, from order 1 up: all that exist, or for the
// words before a text those that its state has.
struct WordNgrams {
  const NgramId* ids;  // by order - 1, with a stride
  int stride;
  int size;

  NgramId id(int order) const { return ids[ptrdiff_t{order - 1} * stride]; }
};

// The longest n-gram that ends at a word and is no blank.
struct LongestNgram {
  int order;
  float log_prob;
};

HWY_INLINE LongestNgram FindLongest(const ValueTrie& trie,
                                    const WordNgrams& ngrams) {
  int order = ngrams.size;
  float log_prob = trie.log_probs[order - 1].Value(ngrams.id(order));
  while (HWY_UNLIKELY(std::isnan(log_prob))) {
    --order;
    log_prob = trie.log_probs[order - 1].Value(ngrams.id(order));
  }
  return {order, log_prob};
}

// For kFloor: returns the order of the longest context that matters.
HWY_INLINE int FloorOrder(const ValueTrie& trie, const WordNgrams& contexts) {
  int k = std::min(contexts.size, trie.order() - 1);
  while (k > 0 && !trie.Matters(k, contexts.id(k))) --k;
  return k;
}

// Returns Query::ngram_lengths of a word with these n-grams and contexts.
HWY_INLINE uint8_t NgramLengthOf(const ValueTrie& trie,
                                 const WordNgrams& contexts,
                                 const WordNgrams& ngrams) {
  const int order = FindLongest(trie, ngrams).order;
  const bool is_floor =
      trie.rule == UnseenRule::kFloor && order <= FloorOrder(trie, contexts);
  return is_floor ? 0 : static_cast<uint8_t>(order);
}

// Returns ln P of a word with these n-grams, of which those of the word before
// are its contexts. `remembered` is for stupid back-off.
HWY_INLINE float LogProb(const ValueModel& model, const WordNgrams& contexts,
                         uint32_t remembered, const WordNgrams& ngrams) {
  const ValueTrie& trie = model.trie();
  const auto [order, log_prob] = FindLongest(trie, ngrams);
  switch (trie.rule) {
    case UnseenRule::kBackOff: {
      const int longest = std::min(contexts.size, trie.order() - 1);
      float weight = 0;
      for (int k = longest; k >= order; --k) {
        weight += trie.backoffs[k - 1].Value(contexts.id(k));
      }
      return weight + log_prob;
    }
    case UnseenRule::kFloor: {
      const int k = FloorOrder(trie, contexts);
      return order > k ? log_prob : trie.backoffs[k - 1].Value(contexts.id(k));
    }
    case UnseenRule::kStupid:
      return model.StupidWeight(remembered, order - 1) + log_prob;
  }
  return log_prob;
}

#if HWY_ARCH_X86 && HWY_TARGET == HWY_AVX2

// Returns the child of a context with a rank.
HWY_INLINE Child<NgramId> FindRank(const RankLevel& level, NgramId context,
                                   uint32_t rank) {
  return FindChild<NgramId>(level, context, rank);
}

// What the look-ups of one level find. To be a local variable, so that its
// members are in registers.
struct ValuePolicy {
  static constexpr bool kReadsCounts = false;

  HWY_INLINE void Single(const BlockContext<NgramId>& context) {
    Keep(context.slot, FindSingleChild(level, context, ranks[context.slot]));
  }

  template <bool kNarrow>
  HWY_INLINE void Small(const SmallContext<NgramId>& context) {
    Keep(context.slot,
         FindSmallChild<kNarrow>(level, context, ranks[context.slot]));
  }

  HWY_INLINE bool StartLarge(const LargeLookup&) { return true; }

  HWY_INLINE void FinishLarge(const LargeLookup& lookup) {
    const NgramId first = level.LargeFirstChild(*lookup.large, lookup.index);
    Keep(lookup.slot, {first + lookup.child, lookup.child});
  }

  HWY_INLINE void Keep(uint32_t slot, const Child<NgramId>& child) {
    const bool exists = child.index != kNoRank;
    sizes[slot] += exists;
    found.Keep(static_cast<int>(slot), child.id, child.index, exists);
  }

  const RankLevel& level;
  const uint32_t* ranks;
  int* sizes;  // by slot: how many orders were found
  FoundNgrams<NgramId> found;
};

// Scores one batch. Lives for one call of Score().
class BatchScorer final : public TextBlocks {
 public:
  explicit BatchScorer(const ValueModel& model)
      : TextBlocks(model.state_size()),
        model_(model),
        trie_(model.trie()),
        levels_(trie_.order() - 1) {}

 private:
  void AddContext(int slot, const std::byte* state) override {
    const ValueModel::Chain chain = model_.Read(state);
    for (int k = 0; k < chain.size; ++k) {
      ngrams_[k][slot] = chain.ids[k];
      PrefetchContext(trie_.levels[k], chain.ids[k]);
    }
    sizes_[slot] = chain.size;
    remembered_[slot] = chain.remembered;
  }

  void AddWords(int first, absl::Span<const WordId> words) override {
    const auto most = static_cast<uint32_t>(levels_);
    int slot = first;
    for (WordId word : words) {
      ngrams_[0][slot] = word;
      ranks_[slot] = word;
      sizes_[slot] = 1;
      remembered_[slot] = std::min(remembered_[slot - 1] + 1, most);
      word_slots_[word_count_++] = static_cast<uint16_t>(slot);
      if (levels_ > 0) PrefetchContext(trie_.levels[0], word);
      ++slot;
    }
  }

  void KeepLastSlot() override {
    for (int k = 0; k < levels_; ++k) ngrams_[k][0] = ngrams_[k][kSlots - 1];
    sizes_[0] = std::min(sizes_[kSlots - 1], levels_);
    remembered_[0] = remembered_[kSlots - 1];
  }

  void ScoreSlots(int, float* log_probs) override {
    found_count_ = word_count_;
    std::copy_n(word_slots_.data(), word_count_, found_.data());
    for (int k = 0; k < levels_ && found_count_ > 0; ++k) FindLevel(k);
    if (trie_.rule == UnseenRule::kBackOff) {
      SumValues(log_probs);
    } else {
      for (int i = 0; i < word_count_; ++i) {
        const int slot = word_slots_[i];
        log_probs[slot] = LogProbOf(slot);
      }
    }
    word_count_ = 0;
  }

  void WriteState(int slot, std::byte* state) const override {
    ValueModel::Chain chain;
    chain.size = std::min(sizes_[slot], levels_);
    for (int k = 0; k < chain.size; ++k) chain.ids[k] = ngrams_[k][slot];
    chain.remembered = remembered_[slot];
    model_.Write(chain, state);
  }

  uint8_t NgramLength(int slot) const override {
    return NgramLengthOf(trie_, NgramsOf(slot - 1), NgramsOf(slot));
  }

  WordNgrams NgramsOf(int slot) const {
    return {&ngrams_[0][slot], kSlots, sizes_[slot]};
  }

  float LogProbOf(int slot) const {
    return LogProb(model_, NgramsOf(slot - 1), remembered_[slot - 1],
                   NgramsOf(slot));
  }

  // Computes the log-probabilities of a model with back-off weights: does what
  // LogProb() does, order by order.
  void SumValues(float* log_probs) {
    // The slots whose longest n-gram has order k + 1, and those for which the
    // back-off weight of the context of order k + 1 is needed.
    std::array<SlotList, kMaxNgramOrder> longest, contexts;
    std::array<int, kMaxNgramOrder> longest_counts = {}, context_counts = {};
    for (int i = 0; i < word_count_; ++i) {
      const uint16_t slot = word_slots_[i];
      const int k = sizes_[slot] - 1;
      longest[k][longest_counts[k]++] = slot;
      __builtin_prefetch(trie_.log_probs[k].Address(ngrams_[k][slot]));
    }
    for (int k = 0; k < levels_; ++k) {
      const ValueCodes& backoffs = trie_.backoffs[k];
      const NgramId* ids = ngrams_[k].data();
      int count = 0;
      for (int i = 0; i < word_count_; ++i) {
        const uint16_t slot = word_slots_[i];
        contexts[k][count] = slot;
        count += (sizes_[slot] <= k + 1) & (sizes_[slot - 1] > k);
      }
      for (int i = 0; i < count; ++i) {
        __builtin_prefetch(backoffs.Address(ids[contexts[k][i] - 1]));
      }
      context_counts[k] = count;
    }
    for (int k = 0; k <= levels_; ++k) {
      ReadValues(trie_.log_probs[k], [&](const auto& value) HWY_ATTR {
        for (int i = 0, count = longest_counts[k]; i < count; ++i) {
          const uint16_t slot = longest[k][i];
          log_probs[slot] = value(ngrams_[k][slot]);
          weights_[slot] = 0;
        }
      });
    }
    for (int k = levels_ - 1; k >= 0; --k) {
      ReadValues(trie_.backoffs[k], [&](const auto& value) HWY_ATTR {
        for (int i = 0, count = context_counts[k]; i < count; ++i) {
          const uint16_t slot = contexts[k][i];
          weights_[slot] += value(ngrams_[k][slot - 1]);
        }
      });
    }
    for (int i = 0; i < word_count_; ++i) {
      const uint16_t slot = word_slots_[i];
      log_probs[slot] += weights_[slot];
      // The longest n-gram is a blank.
      if (HWY_UNLIKELY(std::isnan(log_probs[slot]))) {
        log_probs[slot] = LogProbOf(slot);
      }
    }
  }

  // Calls read with a function that returns the value of an id, without
  // branches for kinds of codes.
  template <typename Read>
  HWY_INLINE static void ReadValues(const ValueCodes& codes, const Read& read) {
    const int bits = static_cast<int>(codes.bits);
    const auto code = [&](NgramId id) HWY_ATTR {
      return static_cast<uint32_t>(ReadBits(codes.codes, id * bits, bits));
    };
    if (codes.cells != nullptr) {
      read([&](NgramId id) HWY_ATTR { return codes.Value(id); });
    } else if (codes.kind == CodeKind::kTable) {
      read([&](NgramId id) HWY_ATTR { return codes.table[code(id)]; });
    } else {
      read([&](NgramId id) HWY_ATTR { return codes.Decode(code(id)); });
    }
  }

  // Looks up the words of found_ among the children of their contexts of order
  // k + 1.
  void FindLevel(int k) {
    SlotList lookups;
    int count = 0;
    for (int i = 0; i < found_count_; ++i) {
      const uint16_t slot = found_[i];
      lookups[count] = slot;
      count += sizes_[slot - 1] > k;
    }
    ValuePolicy policy = {
        trie_.levels[k],
        ranks_.data(),
        sizes_.data(),
        {.ids = ngrams_[k + 1].data(),
         .ranks = ranks_.data(),
         .slots = found_.data(),
         .next_level = k + 1 < levels_ ? &trie_.levels[k + 1] : nullptr}};
    walker_.Walk(trie_.levels[k], ngrams_[k].data(), ranks_.data(), lookups,
                 count, policy);
    policy.found.PrefetchRest();
    found_count_ = policy.found.count;
  }

  const ValueModel& model_;
  const ValueTrie& trie_;
  const int levels_;

  // The n-grams of order k + 1 that end at a slot, for k < sizes_[slot].
  std::array<Slots<NgramId>, kMaxNgramOrder> ngrams_;
  Slots<int> sizes_;
  Slots<uint32_t> remembered_;  // words read; see ValueModel::Chain
  // The rank of the last n-gram of a slot that was found.
  Slots<uint32_t> ranks_;
  SlotList word_slots_;
  int word_count_ = 0;
  // The slots with an n-gram of the order that was looked up last.
  SlotList found_;
  int found_count_ = 0;
  Slots<float> weights_;
  LevelWalker<NgramId> walker_;
};

#else  // without AVX2

void PrefetchBlock(const RankLevel&, NgramId) {}

struct FoundRank {
  NgramId id;
  uint32_t index;
};

// Returns the child of a context with a rank.
FoundRank FindRank(const RankLevel& level, NgramId id, uint32_t rank) {
  const RankContext context(level, id);
  const uint32_t index = context.Find(rank);
  return {context.first_child() + index, index};
}

#endif

// Prefetches what the next word reads of its contexts.
HWY_INLINE void PrefetchChain(const ValueTrie& trie,
                              const ValueModel::Chain& chain) {
  for (int k = 0; k < chain.size; ++k) {
    PrefetchBlock(trie.levels[k], chain.ids[k]);
    __builtin_prefetch(trie.backoffs[k].Address(chain.ids[k]));
  }
}

// Scores one word and writes the n-grams that end with it to *found and, unless
// it is null, the length of the one that was found to *length.
HWY_INLINE float ScoreWord(const ValueModel& model, WordId word,
                           const ValueModel::Chain& chain,
                           ValueModel::Chain* found, uint8_t* length) {
  const ValueTrie& trie = model.trie();
  const int longest = trie.order() - 1;
  __builtin_prefetch(trie.log_probs[0].Address(word));
  found->ids[0] = word;
  int size = 1;
  uint32_t rank = word;
  for (int k = 0; k < chain.size; ++k) {
    const auto child = FindRank(trie.levels[k], chain.ids[k], rank);
    if (child.index == kNoRank) break;
    __builtin_prefetch(trie.log_probs[k + 1].Address(child.id));
    found->ids[size++] = child.id;
    rank = child.index;
  }
  const WordNgrams contexts = {chain.ids.data(), 1, chain.size};
  const WordNgrams ngrams = {found->ids.data(), 1, size};
  const float log_prob = LogProb(model, contexts, chain.remembered, ngrams);
  if (length != nullptr) *length = NgramLengthOf(trie, contexts, ngrams);
  found->size = std::min(size, longest);
  found->remembered = std::min<uint32_t>(chain.remembered + 1, longest);
  return log_prob;
}

// Scores the words of a query one at a time.
void ScoreWords(const ValueModel& model, const LanguageModel::Query& query) {
  ValueModel::Chain chains[2];
  chains[0] = model.Read(query.state);
  PrefetchChain(model.trie(), chains[0]);
  int last = 0;
  for (size_t i = 0; i < query.words.size(); ++i, last ^= 1) {
    uint8_t* const length =
        query.ngram_lengths.empty() ? nullptr : &query.ngram_lengths[i];
    const float log_prob = ScoreWord(model, query.words[i], chains[last],
                                     &chains[last ^ 1], length);
    if (!query.log_probs.empty()) query.log_probs[i] = log_prob;
    PrefetchChain(model.trie(), chains[last ^ 1]);
  }
  if (query.next_state != nullptr) model.Write(chains[last], query.next_state);
}

void Score(const ValueModel& model,
           absl::Span<const LanguageModel::Query> batch) {
#if HWY_ARCH_X86 && HWY_TARGET == HWY_AVX2
  // The words of a text of which there are fewer are not worth the lists.
  constexpr size_t kFew = 4;
  if (batch.size() != 1 || batch[0].words.size() > kFew) {
    return BatchScorer(model).Run(batch);
  }
#endif
  for (const LanguageModel::Query& query : batch) ScoreWords(model, query);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace lmserve
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

namespace lmserve {

HWY_EXPORT(Score);

void ValueModel::Score(absl::Span<const Query> batch) const {
  HWY_DYNAMIC_DISPATCH(Score)(*this, batch);
}

}  // namespace lmserve

#endif  // HWY_ONCE
