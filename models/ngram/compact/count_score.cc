// SPDX-License-Identifier: Apache-2.0
//
// CountModel::Score(): looks up many words at once.
//
// Let N_k(t) be the n-gram of order k that ends at word t, if it exists, and
// C_k(t) = N_k(t - 1) the contexts of the word. Then
//
//   N_{k+1}(t) = the child of C_k(t) that has the rank of N_k(t) among the
//                children of C_{k-1}(t),
//   p_k(t) = u(N_{k+1}(t)) + g(C_k(t)) p_{k-1}(t),
//
// where the rank of N_1(t) is the word's id, u is 0 if N_{k+1}(t) does not
// exist, and p_{order-1} is the probability. All look-ups of one order are
// independent of each other, and their addresses are known when the order
// before is done. So a block of words is processed order by order, and each
// order in passes, over lists without branches in between: each pass prefetches
// the memory that a later pass reads.
//
// The passes use AVX2 and BMI2, which x86-64 processors have had since 2013.
// Others score a word at a time with RankContext. The results have the same
// bits.
//
// Tested by tests/conformance and
// tests/models/ngram/compact/count_model_test.cc.

#include <algorithm>
#include <array>
#include <cstring>

#include "models/ngram/compact/count_model.h"
#include "models/ngram/compact/large_context.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "models/ngram/compact/count_score.cc"
// Of the instruction sets, only AVX2 makes a difference.
#define HWY_DISABLED_TARGETS (~(HWY_BASELINE_TARGETS | HWY_AVX2))
#include "hwy/foreach_target.h"
// Highway requires these includes after foreach_target.h.
#include "hwy/highway.h"
#include "models/ngram/compact/block_lookup-inl.h"
#include "models/ngram/compact/large_lookup-inl.h"
#include "models/ngram/compact/level_walker-inl.h"
#include "models/ngram/compact/log_probabilities-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lmserve {
namespace HWY_NAMESPACE {
namespace {

// Ids of n-grams as states have them: uint32_t or uint64_t.
template <typename Id>
HWY_INLINE Id ReadId(const std::byte* state, int k) {
  Id id;
  std::memcpy(&id, state + k * sizeof(Id), sizeof(Id));
  return id;
}

template <typename Id>
HWY_INLINE void WriteId(Id id, std::byte* state, int k) {
  std::memcpy(state + k * sizeof(Id), &id, sizeof(Id));
}

// What one look-up of a word returns.
struct WordScore {
  double probability;
  uint8_t length;  // see LanguageModel::Query::ngram_lengths
};

#if HWY_ARCH_X86 && HWY_TARGET == HWY_AVX2

template <typename Id>
HWY_INLINE Found<Id> FindInLargeContext(const RankLevel& level, uint64_t index,
                                        uint32_t rank) {
  const LargeContext& large = level.larges[index];
  Found<Id> found = {0, large.leftover, kNoId<Id>, kNoRank};
  if (rank == kNoRank) return found;
  const uint8_t* data = level.LargeData(large, index);
  found.index = FindInLarge(large, data, rank);
  if (found.index == kNoRank) return found;
  found.child =
      static_cast<Id>(level.LargeFirstChild(large, index)) + found.index;
  found.share = level.Share(FindLargeCount(large, data, found.index).Count(),
                            large.inverse);
  return found;
}

template <bool kLast, typename Id>
HWY_INLINE Found<Id> FindInBlock(const RankLevel& level, uint64_t position,
                                 uint32_t rank) {
  BlockContext<Id> context;
  context.Read(level, position, level.Block(position / kBlockContexts));
  if (context.single) return FindSingle<kLast>(level, context, rank);
  if (context.has_large_mark()) {
    return FindInLargeContext<Id>(level, context.LargeIndex(), rank);
  }
  SmallContext<Id> small;
  small.Read(level, context);
  return level.max_rank_bits <= kMaxNarrowBits
             ? FindSmall<true>(level, small, rank)
             : FindSmall<false>(level, small, rank);
}

// Returns P(word | state), and writes the next state. `next` may be `state`.
template <typename Id>
HWY_INLINE WordScore ScoreWord(const CountModel& model, WordId word,
                               const std::byte* state, std::byte* next) {
  const CountTrie& trie = model.trie();
  const int levels = trie.order() - 1;
  uint8_t length = 1;
  // The contexts' memory is far apart, but all addresses are known.
  for (int k = 1; k < levels; ++k) {
    const Id context = ReadId<Id>(state, k);
    if (context == kNoId<Id>) break;
    PrefetchBlock(trie.levels[k], context);
  }
  double probability = trie.UnigramProbability(word);
  uint32_t rank = word;
  auto id = static_cast<Id>(model.FirstOfChain(word));
  if (levels == 0) WriteId(kNoId<Id>, next, 0);
  for (int k = 0; k < levels; ++k) {
    const RankLevel& level = trie.levels[k];
    const Id context = ReadId<Id>(state, k);
    WriteId(id, next, k);
    if (context == kNoId<Id>) {  // nor are there longer contexts
      id = kNoId<Id>;
      continue;
    }
    Found<Id> found;
    if (context < level.direct) {
      found = FindInLargeContext<Id>(level, context, rank);
    } else if (k + 1 < levels) {
      found = FindInBlock<false, Id>(level, context - level.direct, rank);
    } else {
      found = FindInBlock<true, Id>(level, context - level.direct, rank);
    }
    probability = found.leftover * probability + found.share;
    rank = found.index;
    id = rank == kNoRank ? kNoId<Id> : found.child;
    length += rank != kNoRank;
    // For the next word.
    if (k + 1 < levels && rank != kNoRank) {
      PrefetchDirectory(trie.levels[k + 1], id);
    }
  }
  return {probability, length};
}

// What the look-ups of one level do for the probabilities of their words. With
// kKeeps, which n-grams they find is kept. To be a local variable, so that its
// members are in registers.
template <bool kLast, bool kKeeps, typename Id>
struct CountPolicy {
  static constexpr bool kReadsCounts = true;

  HWY_INLINE void Single(const BlockContext<Id>& context) {
    Finish(context.slot,
           FindSingle<kLast>(level, context, ranks[context.slot]));
  }

  template <bool kNarrow>
  HWY_INLINE void Small(const SmallContext<Id>& context) {
    Finish(context.slot,
           FindSmall<kNarrow>(level, context, ranks[context.slot]));
  }

  HWY_INLINE bool StartLarge(const LargeLookup& lookup) {
    probabilities[lookup.slot] *= lookup.large->leftover;
    return ranks[lookup.slot] != kNoRank;
  }

  HWY_INLINE void FinishLarge(const LargeLookup& lookup) {
    const LargeContext& large = *lookup.large;
    probabilities[lookup.slot] +=
        level.Share(lookup.count.Count(), large.inverse);
    if (kKeeps) {
      found.Keep(static_cast<int>(lookup.slot),
                 static_cast<Id>(level.LargeFirstChild(large, lookup.index)) +
                     lookup.child,
                 lookup.child, true);
    }
  }

  HWY_INLINE void Finish(int slot, const Found<Id>& result) {
    double& probability = probabilities[slot];
    probability = result.leftover * probability + result.share;
    if (kKeeps) {
      found.Keep(slot, result.child, result.index, result.index != kNoRank);
    }
  }

  const RankLevel& level;
  const uint32_t* ranks;
  double* probabilities;
  FoundNgrams<Id> found;
};

// Scores one batch. Lives for one call of Score().
template <typename Id>
class BatchScorer final : public TextBlocks {
 public:
  explicit BatchScorer(const CountModel& model)
      : TextBlocks(model.state_size()),
        model_(model),
        trie_(model.trie()),
        levels_(trie_.order() - 1) {}

 private:
  void AddContext(int slot, const std::byte* state) override {
    for (int k = 0; k < levels_; ++k) ngrams_[k][slot] = ReadId<Id>(state, k);
    MarkContext(slot);
  }

  void MarkContext(int slot) {
    words_[slot] = 0;
    is_word_[slot] = 0;
    context_slots_[context_count_++] = static_cast<uint16_t>(slot);
  }

  void AddWords(int first, absl::Span<const WordId> words) override {
    std::copy(words.begin(), words.end(), &words_[first]);
    std::fill_n(&is_word_[first], words.size(), kNoId<Id>);
    for (WordId word : words) {
      __builtin_prefetch(trie_.counts32 != nullptr
                             ? static_cast<const void*>(&trie_.counts32[word])
                             : &trie_.counts64[word]);
    }
  }

  void KeepLastSlot() override {
    for (int k = 0; k < levels_; ++k) ngrams_[k][0] = ngrams_[k][kSlots - 1];
    MarkContext(0);
  }

  void ScoreSlots(int used, float* log_probs) override {
    is_word_[used] = 0;
    std::copy_n(words_.data(), used, ranks_.data());
    if (wants_lengths()) lengths_.fill(1);
    if (levels_ > 0) {
      StartChains(used);
      for (int k = 0; k + 1 < levels_; ++k) {
        ScoreLevel<false, true>(k, used);
        if (wants_lengths()) SetLengths(k + 2);
      }
      if (wants_lengths()) {
        ScoreLevel<true, true>(levels_ - 1, used);
        SetLengths(levels_ + 1);
      } else {
        ScoreLevel<true, false>(levels_ - 1, used);
      }
    } else {
      for (int s = 0; s < used; ++s) {
        probabilities_[s] = trie_.UnigramProbability(words_[s]);
      }
    }
    LogAll(probabilities_.data(), used, log_probs);
    context_count_ = 0;
  }

  uint8_t NgramLength(int slot) const override { return lengths_[slot]; }

  // Sets the lengths of the words with an n-gram in the last level.
  void SetLengths(int length) {
    for (int i = 0; i < found_count_; ++i) {
      lengths_[found_[i]] = static_cast<uint8_t>(length);
    }
  }

  void WriteState(int slot, std::byte* state) const override {
    if (levels_ == 0) WriteId(kNoId<Id>, state, 0);
    for (int k = 0; k < levels_; ++k) WriteId(ngrams_[k][slot], state, k);
  }

  // Computes the probabilities without context, and prefetches the entries of
  // the contexts of order 1.
  void StartChains(int used) {
    const RankLevel& level = trie_.levels[0];
    int found = 0;
    for (int s = 0; s < used; ++s) {
      const WordId word = words_[s];
      probabilities_[s] = trie_.UnigramProbability(word);
      if (is_word_[s] == 0) continue;
      const auto id = static_cast<Id>(model_.FirstOfChain(word));
      ngrams_[0][s] = id;
      found_[found] = static_cast<uint16_t>(s);
      found += id != kNoId<Id>;
      PrefetchContext<Id>(level, id == kNoId<Id> ? 0 : id);
    }
    for (int i = 0; i < context_count_; ++i) {
      const Id id = ngrams_[0][context_slots_[i]];
      if (id != kNoId<Id>) PrefetchContext(level, id);
    }
    found_count_ = found;
  }

  // Finds the n-grams of the level's contexts: ngrams_[k] has the contexts of
  // this level, ngrams_[k + 1] gets their children, with kKeeps.
  template <bool kLast, bool kKeeps>
  void ScoreLevel(int k, int used) {
    const Id* contexts = ngrams_[k].data();
    SlotList lookups;
    const int lookup_count = ListLookups(contexts, &lookups);
    last_ranks_ = ranks_;
    CountPolicy<kLast, kKeeps, Id> policy = {trie_.levels[k],
                                             last_ranks_.data(),
                                             probabilities_.data(),
                                             {.ids = nullptr,
                                              .ranks = nullptr,
                                              .slots = found_.data(),
                                              .next_level = nullptr}};
    if (kKeeps) {
      policy.found.ids = ngrams_[k + 1].data();
      policy.found.ranks = ranks_.data();
    }
    if (!kLast) {
      policy.found.next_level = &trie_.levels[k + 1];
      // Nothing is found yet; the slots of contexts keep what they have.
      for (int s = 0; s < used; ++s) policy.found.ids[s] |= is_word_[s];
      ranks_.fill(kNoRank);
    }
    walker_.Walk(trie_.levels[k], contexts, last_ranks_.data(), lookups,
                 lookup_count, policy);
    if (!kLast) policy.found.PrefetchRest();
    found_count_ = policy.found.count;
  }

  // Lists the slots of the words whose context exists.
  int ListLookups(const Id* contexts, SlotList* lookups) const {
    int count = 0;
    const auto add = [&](int slot) {
      (*lookups)[count] = static_cast<uint16_t>(slot + 1);
      count += is_word_[slot + 1] & 1;
    };
    for (int i = 0, found = found_count_; i < found; ++i) add(found_[i]);
    for (int i = 0; i < context_count_; ++i) {
      if (contexts[context_slots_[i]] != kNoId<Id>) add(context_slots_[i]);
    }
    return count;
  }

  const CountModel& model_;
  const CountTrie& trie_;
  const int levels_;

  int context_count_ = 0;
  std::array<uint16_t, kSlots / 2> context_slots_;
  Slots<WordId> words_;                 // 0 for contexts
  std::array<Id, kSlots + 1> is_word_;  // kNoId, or 0 for contexts
  Slots<double> probabilities_;
  // The n-gram of order k + 1 that ends at a slot, or kNoId. Those of the
  // highest order are only written by look-ups that keep what they find.
  std::array<Slots<Id>, kMaxNgramOrder> ngrams_;
  // The rank of a slot's word among the children of the suffix of its context,
  // for the current level and the next one.
  Slots<uint32_t> last_ranks_, ranks_;
  SlotList found_;  // the slots of words with an n-gram in the last level
  int found_count_ = 0;
  Slots<uint8_t> lengths_;  // only if wants_lengths()
  LevelWalker<Id> walker_;
};

#else  // without AVX2

// Returns P(word | state), and writes the next state. `next` may be `state`.
template <typename Id>
WordScore ScoreWord(const CountModel& model, WordId word,
                    const std::byte* state, std::byte* next) {
  const CountTrie& trie = model.trie();
  const int levels = trie.order() - 1;
  uint8_t length = 1;
  double probability = trie.UnigramProbability(word);
  uint32_t rank = word;
  auto id = static_cast<Id>(model.FirstOfChain(word));
  if (levels == 0) WriteId(kNoId<Id>, next, 0);
  for (int k = 0; k < levels; ++k) {
    const Id context_id = ReadId<Id>(state, k);
    WriteId(id, next, k);
    if (context_id == kNoId<Id>) {  // nor are there longer contexts
      id = kNoId<Id>;
      continue;
    }
    const RankContext context(trie.levels[k], context_id);
    rank = rank == kNoRank ? kNoRank : context.Find(rank);
    double share = 0;
    id = kNoId<Id>;
    if (rank != kNoRank) {
      share = context.Share(rank);
      ++length;
      id = static_cast<Id>(context.first_child() + rank);
    }
    probability = context.weights().leftover * probability + share;
  }
  return {probability, length};
}

#endif

// Scores the words of a query one at a time. kLengths: it asks for lengths.
template <bool kLengths, typename Id>
void ScoreWords(const CountModel& model, const LanguageModel::Query& query) {
  std::byte scratch[sizeof(Id) * (kMaxNgramOrder - 1)];
  std::byte* const next =
      query.next_state != nullptr ? query.next_state : scratch;
  const std::byte* state = query.state;
  if (query.words.empty() && next != state) {
    std::memcpy(next, state, model.state_size());
  }
  for (size_t i = 0; i < query.words.size(); ++i) {
    const WordScore score = ScoreWord<Id>(model, query.words[i], state, next);
    if (!query.log_probs.empty()) {
      LogAll(&score.probability, 1, &query.log_probs[i]);
    }
    if (kLengths) query.ngram_lengths[i] = score.length;
    state = next;
  }
}

template <typename Id>
void ScoreBatch(const CountModel& model,
                absl::Span<const LanguageModel::Query> batch) {
#if HWY_ARCH_X86 && HWY_TARGET == HWY_AVX2
  // The words of a text of which there are fewer are not worth the lists.
  constexpr size_t kFew = 4;
  if (batch.size() != 1 || batch[0].words.size() > kFew) {
    return BatchScorer<Id>(model).Run(batch);
  }
#endif
  for (const LanguageModel::Query& query : batch) {
    if (query.ngram_lengths.empty()) {
      ScoreWords<false, Id>(model, query);
    } else {
      ScoreWords<true, Id>(model, query);
    }
  }
}

void Score(const CountModel& model,
           absl::Span<const LanguageModel::Query> batch) {
  if (model.has_wide_ids()) {
    ScoreBatch<uint64_t>(model, batch);
  } else {
    ScoreBatch<uint32_t>(model, batch);
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace lmserve
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

namespace lmserve {

HWY_EXPORT(Score);

void CountModel::Score(absl::Span<const Query> batch) const {
  HWY_DYNAMIC_DISPATCH(Score)(*this, batch);
}

}  // namespace lmserve

#endif  // HWY_ONCE
