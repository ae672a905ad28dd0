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
#include "models/ngram/compact/log_probabilities-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lmserve {
namespace HWY_NAMESPACE {
namespace {

// Ids of n-grams as states have them: uint32_t or uint64_t.
template <typename Id>
inline constexpr Id kNoId = ~Id{0};

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
HWY_INLINE double ScoreWord(const CountModel& model, WordId word,
                            const std::byte* state, std::byte* next) {
  const CountTrie& trie = model.trie();
  const int levels = trie.order() - 1;
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
    // For the next word.
    if (k + 1 < levels && rank != kNoRank) {
      PrefetchDirectory(trie.levels[k + 1], id);
    }
  }
  return probability;
}

// Scores one batch. Lives for one call of Score().
template <typename Id>
class BatchScorer {
 public:
  explicit BatchScorer(const CountModel& model)
      : model_(model), trie_(model.trie()), levels_(trie_.order() - 1) {}

  void Run(absl::Span<const LanguageModel::Query> batch) {
    for (const LanguageModel::Query& query : batch) Add(query);
    ScoreBlock();
  }

 private:
  // Words in a block: enough look-ups to hide the latency of memory, few enough
  // that prefetched data stays in the cache.
  static constexpr int kSlots = 128;
  static constexpr int kMaxPieces = kSlots / 2;

  // A loop uses what it has prefetched this many rounds before.
  static constexpr int kLag = 12;

  template <typename T>
  using Slots = std::array<T, kSlots>;
  // Indices of slots or look-ups, in a list that a loop appends to without a
  // branch. The element after the last one is written, too. Not bytes, which
  // may alias anything.
  using List = std::array<uint16_t, kSlots + 1>;

  // Where the look-ups of a level write what they find. A local variable, so
  // that its members are in registers.
  struct Results {
    double* probabilities;
    // As contexts of the next level, by slot.
    Id* ngrams;
    uint32_t* ranks;
    uint16_t* found;  // a List of the slots with an n-gram
    int found_count;
    int prefetched;  // how many of them have prefetched their block
    const RankLevel* next_level;

    // Keeps the n-gram of the slot's word.
    HWY_INLINE void Keep(int slot, Id child, uint32_t index, bool exists) {
      // Without a branch, as RankIf().
      ngrams[slot] = child | (Id{exists} - 1);
      ranks[slot] = index;
      found[found_count] = static_cast<uint16_t>(slot);
      found_count += exists;
      PrefetchDirectory(*next_level, exists ? child : 0);
      if (found_count > prefetched + kLag) PrefetchNextBlock();
    }

    // The directory entries have been prefetched kLag rounds ago.
    HWY_INLINE void PrefetchNextBlock() {
      PrefetchBlock(*next_level, ngrams[found[prefetched++]]);
    }

    template <bool kLast>
    HWY_INLINE void Finish(int slot, const Found<Id>& result) {
      double& probability = probabilities[slot];
      probability = result.leftover * probability + result.share;
      if (!kLast) {
        Keep(slot, result.child, result.index, result.index != kNoRank);
      }
    }
  };

  // A part of one text in the block, in the slots [begin, end). The slot before
  // `begin` holds the contexts of its first word.
  struct Piece {
    const LanguageModel::Query* query;
    size_t first_word;
    int begin, end;
  };

  // A look-up in a large context.
  struct LargeLookup {
    const LargeContext* large;
    const uint8_t* data;
    uint64_t index;    // of the large context
    RankRun run;       // of an Elias-Fano list
    uint32_t child;    // index of the child that was found
    CountField count;  // of the child
    uint32_t slot;
  };

  void Add(const LanguageModel::Query& query) {
    if (query.words.empty()) {
      if (query.next_state != nullptr) {
        std::memmove(query.next_state, query.state, model_.state_size());
      }
      return;
    }
    if (used_ + 2 > kSlots) ScoreBlock();
    AddContext(query.state);
    size_t next = 0;
    for (;;) {
      const size_t count =
          std::min<size_t>(query.words.size() - next, kSlots - used_);
      pieces_[piece_count_++] = {&query, next, used_,
                                 used_ + static_cast<int>(count)};
      AddWords(query.words.subspan(next, count));
      next += count;
      if (next == query.words.size()) return;
      ScoreBlock();
      KeepLastSlot();
    }
  }

  // Adds a slot for the contexts before a text.
  void AddContext(const std::byte* state) {
    const int slot = used_++;
    for (int k = 0; k < levels_; ++k) ngrams_[k][slot] = ReadId<Id>(state, k);
    words_[slot] = 0;
    is_word_[slot] = 0;
    context_slots_[context_count_++] = static_cast<uint16_t>(slot);
  }

  void AddWords(absl::Span<const WordId> words) {
    const int begin = used_;
    used_ += static_cast<int>(words.size());
    std::copy(words.begin(), words.end(), &words_[begin]);
    std::fill(&is_word_[begin], &is_word_[used_], kNoId<Id>);
    for (WordId word : words) {
      __builtin_prefetch(trie_.counts32 != nullptr
                             ? static_cast<const void*>(&trie_.counts32[word])
                             : &trie_.counts64[word]);
    }
  }

  // Copies the last slot to the first one, as the context of a text that
  // continues in the next block.
  void KeepLastSlot() {
    for (int k = 0; k < levels_; ++k) ngrams_[k][0] = ngrams_[k][kSlots - 1];
    words_[0] = 0;
    is_word_[0] = 0;
    context_slots_[0] = 0;
    context_count_ = 1;
    used_ = 1;
  }

  void ScoreBlock() {
    is_word_[used_] = 0;
    std::copy_n(words_.data(), used_, ranks_.data());
    if (levels_ > 0) {
      StartChains();
      for (int k = 0; k + 1 < levels_; ++k) ScoreLevel<false>(k);
      ScoreLevel<true>(levels_ - 1);
    } else {
      for (int s = 0; s < used_; ++s) {
        probabilities_[s] = trie_.UnigramProbability(words_[s]);
      }
    }
    std::array<float, kSlots> logs;
    LogAll(probabilities_.data(), used_, logs.data());
    for (int i = 0; i < piece_count_; ++i) FinishPiece(pieces_[i], logs);
    used_ = piece_count_ = context_count_ = 0;
  }

  // Computes the probabilities without context, and prefetches the entries of
  // the contexts of order 1.
  void StartChains() {
    const RankLevel& level = trie_.levels[0];
    int found = 0;
    for (int s = 0, used = used_; s < used; ++s) {
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

  void FinishPiece(const Piece& piece, const std::array<float, kSlots>& logs) {
    const LanguageModel::Query& query = *piece.query;
    const size_t size = piece.end - piece.begin;
    if (!query.log_probs.empty()) {
      std::copy_n(&logs[piece.begin], size, &query.log_probs[piece.first_word]);
    }
    if (query.next_state == nullptr ||
        piece.first_word + size < query.words.size()) {
      return;
    }
    if (levels_ == 0) WriteId(kNoId<Id>, query.next_state, 0);
    for (int k = 0; k < levels_; ++k) {
      WriteId(ngrams_[k][piece.end - 1], query.next_state, k);
    }
  }

  // Finds the n-grams of the level's contexts: ngrams_[k] has the contexts of
  // this level, ngrams_[k + 1] gets their children.
  template <bool kLast>
  void ScoreLevel(int k) {
    const RankLevel& level = trie_.levels[k];
    ListLookups(ngrams_[k].data());
    ReadContexts(level, ngrams_[k].data());
    last_ranks_ = ranks_;
    Results results = {
        probabilities_.data(), nullptr, nullptr, found_.data(), 0, 0, nullptr};
    if (!kLast) {
      results.ngrams = ngrams_[k + 1].data();
      results.ranks = ranks_.data();
      results.next_level = &trie_.levels[k + 1];
      // Nothing is found yet; the slots of contexts keep what they have.
      for (int s = 0, used = used_; s < used; ++s) {
        results.ngrams[s] |= is_word_[s];
      }
      ranks_.fill(kNoRank);
    }
    // The look-ups by kind, as indices of blocks_.
    List single, small, large;
    int singles = 0, smalls = 0, larges = 0;
    for (int i = 0, count = block_count_; i < count; ++i) {
      BlockContext<Id>& context = blocks_[i];
      context.Read(level, positions_[i], block_starts_[i]);
      const bool is_large = !context.single & context.has_large_mark();
      single[singles] = static_cast<uint16_t>(i);
      singles += context.single;
      small[smalls] = static_cast<uint16_t>(i);
      smalls += !(context.single | is_large);
      large[larges] = static_cast<uint16_t>(i);
      larges += is_large;
    }
    for (int i = 0; i < larges; ++i) {
      const BlockContext<Id>& context = blocks_[large[i]];
      LargeLookup& lookup = larges_[large_count_ + i];
      lookup.index = context.LargeIndex();
      lookup.slot = context.slot;
      __builtin_prefetch(&level.larges[lookup.index]);
    }
    large_count_ += larges;
    for (int i = 0; i < singles; ++i) {
      const BlockContext<Id>& context = blocks_[single[i]];
      results.template Finish<kLast>(
          context.slot,
          FindSingle<kLast>(level, context, last_ranks_[context.slot]));
    }
    for (int i = 0; i < smalls; ++i) {
      SmallContext<Id>& context = small_contexts_[i];
      context.Read(level, blocks_[small[i]]);
      __builtin_prefetch(context.fields + context.bit / 8);
    }
    LargeLists lists;
    ReadLarges(level, results, &lists);
    if (level.max_rank_bits <= kMaxNarrowBits) {
      FindSmalls<kLast, true>(level, smalls, results);
    } else {
      FindSmalls<kLast, false>(level, smalls, results);
    }
    FindLarges<kLast>(level, lists, results);
    found_count_ = results.found_count;
    if (!kLast) {
      while (results.prefetched < found_count_) results.PrefetchNextBlock();
    }
  }

  // Lists the slots of the words whose context exists.
  void ListLookups(const Id* contexts) {
    int count = 0;
    const auto add = [&](int slot) {
      lookups_[count] = static_cast<uint16_t>(slot + 1);
      count += is_word_[slot + 1] & 1;
    };
    for (int i = 0, found = found_count_; i < found; ++i) add(found_[i]);
    for (int i = 0; i < context_count_; ++i) {
      if (contexts[context_slots_[i]] != kNoId<Id>) add(context_slots_[i]);
    }
    lookup_count_ = count;
  }

  // Splits the look-ups into those of direct contexts and those in blocks.
  void ReadContexts(const RankLevel& level, const Id* contexts) {
    const uint64_t direct = level.direct;
    int blocks = 0, larges = 0;
    if (direct == 0) {
      blocks = lookup_count_;
      for (int i = 0; i < blocks; ++i) {
        const uint16_t slot = lookups_[i];
        positions_[i] = contexts[slot - 1];
        blocks_[i].slot = slot;
      }
    } else {
      for (int i = 0, count = lookup_count_; i < count; ++i) {
        const uint16_t slot = lookups_[i];
        const uint64_t context = contexts[slot - 1];
        const bool is_direct = context < direct;
        larges_[larges].index = context;
        larges_[larges].slot = slot;
        larges += is_direct;
        positions_[blocks] = context - direct;
        blocks_[blocks].slot = slot;
        blocks += !is_direct;
      }
    }
    for (int i = 0; i < blocks; ++i) {
      const uint8_t* block = level.Block(positions_[i] / kBlockContexts);
      block_starts_[i] = block;
    }
    block_count_ = blocks;
    large_count_ = larges;
  }

  template <bool kLast, bool kNarrow>
  HWY_INLINE void FindSmalls(const RankLevel& level, int count,
                             Results& results) {
    for (int i = 0; i < count; ++i) {
      const SmallContext<Id>& context = small_contexts_[i];
      results.template Finish<kLast>(
          context.slot,
          FindSmall<kNarrow>(level, context, last_ranks_[context.slot]));
    }
  }

  // The look-ups in large contexts by kind, as indices of larges_.
  struct LargeLists {
    List bitmap, short_list, fano;
    int bitmaps = 0, shorts = 0, fanos = 0;
  };

  // Reads the large contexts, and prefetches their ranks.
  HWY_INLINE void ReadLarges(const RankLevel& level, Results& results,
                             LargeLists* lists) {
    int bitmaps = 0, shorts = 0, fanos = 0;
    for (int i = 0, count = large_count_; i < count; ++i) {
      LargeLookup& lookup = larges_[i];
      const LargeContext& large = level.larges[lookup.index];
      lookup.large = &large;
      lookup.data = level.LargeData(large, lookup.index);
      results.probabilities[lookup.slot] *= large.leftover;
      const uint32_t rank = last_ranks_[lookup.slot];
      const bool exists = rank != kNoRank;
      const RankList list = large.list();
      const bool is_bitmap = exists & (list == RankList::kBitmap);
      lists->bitmap[bitmaps] = static_cast<uint16_t>(i);
      bitmaps += is_bitmap;
      lists->short_list[shorts] = static_cast<uint16_t>(i);
      shorts += exists & (list == RankList::kShort);
      lists->fano[fanos] = static_cast<uint16_t>(i);
      fanos += exists & (list >= RankList::kFano8);
      const uint32_t at =
          (uint32_t{0} - is_bitmap) & (rank / kCellRanks * kCellBytes);
      __builtin_prefetch(lookup.data + at);
      __builtin_prefetch(lookup.data + at + (is_bitmap ? 0 : 64));
    }
    lists->bitmaps = bitmaps;
    lists->shorts = shorts;
    lists->fanos = fanos;
  }

  template <bool kLast>
  HWY_INLINE void FindLarges(const RankLevel& level, const LargeLists& lists,
                             Results& results) {
    const auto& [bitmap, short_list, fano, bitmaps, shorts, fanos] = lists;
    for (int i = 0; i < fanos; ++i) {
      LargeLookup& lookup = larges_[fano[i]];
      lookup.run =
          FindRun(*lookup.large, lookup.data, last_ranks_[lookup.slot]);
      __builtin_prefetch(lookup.run.lows);
    }
    // The look-ups that found a child, as indices of larges_.
    List found;
    int found_count = 0;
    const auto keep = [&](uint16_t i, uint32_t child) HWY_ATTR {
      LargeLookup& lookup = larges_[i];
      lookup.child = child;
      found[found_count] = i;
      found_count += child != kNoRank;
      PrefetchLargeCount(*lookup.large, lookup.data, child);
    };
    for (int i = 0; i < bitmaps; ++i) {
      const LargeLookup& lookup = larges_[bitmap[i]];
      keep(bitmap[i],
           FindInBitmap(*lookup.large, lookup.data, last_ranks_[lookup.slot]));
    }
    for (int i = 0; i < shorts; ++i) {
      const LargeLookup& lookup = larges_[short_list[i]];
      keep(short_list[i],
           FindInShort(*lookup.large, lookup.data, last_ranks_[lookup.slot]));
    }
    for (int i = 0; i < fanos; ++i) {
      const LargeLookup& lookup = larges_[fano[i]];
      keep(fano[i], FindInRun(lookup.run, last_ranks_[lookup.slot]));
    }
    for (int i = 0; i < found_count; ++i) {
      LargeLookup& lookup = larges_[found[i]];
      lookup.count = FindLargeCount(*lookup.large, lookup.data, lookup.child);
      __builtin_prefetch(lookup.count.bits + lookup.count.bit / 8);
    }
    for (int i = 0; i < found_count; ++i) {
      const LargeLookup& lookup = larges_[found[i]];
      const LargeContext& large = *lookup.large;
      results.probabilities[lookup.slot] +=
          level.Share(lookup.count.Count(), large.inverse);
      if (!kLast) {
        results.Keep(
            static_cast<int>(lookup.slot),
            static_cast<Id>(level.LargeFirstChild(large, lookup.index)) +
                lookup.child,
            lookup.child, true);
      }
    }
  }

  const CountModel& model_;
  const CountTrie& trie_;
  const int levels_;

  int used_ = 0;  // number of slots in use
  int piece_count_ = 0;
  std::array<Piece, kMaxPieces> pieces_;
  int context_count_ = 0;
  std::array<uint16_t, kMaxPieces> context_slots_;
  Slots<WordId> words_;                 // 0 for contexts
  std::array<Id, kSlots + 1> is_word_;  // kNoId, or 0 for contexts
  Slots<double> probabilities_;
  // The n-gram of order k + 1 that ends at a slot, or kNoId.
  std::array<Slots<Id>, kMaxNgramOrder - 1> ngrams_;
  // The rank of a slot's word among the children of the suffix of its context,
  // for the current level and the next one.
  Slots<uint32_t> last_ranks_, ranks_;

  // The slots with an n-gram in the last level; those to look up in this one.
  List found_, lookups_;
  int found_count_ = 0, lookup_count_ = 0;
  // By look-up.
  std::array<uint64_t, kSlots + 1> positions_;  // less RankLevel::direct
  Slots<const uint8_t*> block_starts_;
  std::array<BlockContext<Id>, kSlots + 1> blocks_;
  Slots<SmallContext<Id>> small_contexts_;
  std::array<LargeLookup, kSlots + 1> larges_;
  int block_count_ = 0, large_count_ = 0;
};

#else  // without AVX2

// Returns P(word | state), and writes the next state. `next` may be `state`.
template <typename Id>
double ScoreWord(const CountModel& model, WordId word, const std::byte* state,
                 std::byte* next) {
  const CountTrie& trie = model.trie();
  const int levels = trie.order() - 1;
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
      id = static_cast<Id>(context.first_child() + rank);
    }
    probability = context.weights().leftover * probability + share;
  }
  return probability;
}

#endif

// Scores the words of a query one at a time.
template <typename Id>
void ScoreWords(const CountModel& model, const LanguageModel::Query& query) {
  std::byte scratch[sizeof(Id) * (kMaxNgramOrder - 1)];
  std::byte* const next =
      query.next_state != nullptr ? query.next_state : scratch;
  const std::byte* state = query.state;
  if (query.words.empty() && next != state) {
    std::memcpy(next, state, model.state_size());
  }
  for (size_t i = 0; i < query.words.size(); ++i) {
    const double probability =
        ScoreWord<Id>(model, query.words[i], state, next);
    if (!query.log_probs.empty()) LogAll(&probability, 1, &query.log_probs[i]);
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
  for (const LanguageModel::Query& query : batch) ScoreWords<Id>(model, query);
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
