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

  NgramId id(int order) const { return ids[(order - 1) * stride]; }
};

// Returns ln P of a word with these n-grams, of which those of the word before
// are its contexts. `remembered` is for stupid back-off.
HWY_INLINE float LogProb(const ValueModel& model, const WordNgrams& contexts,
                         uint32_t remembered, const WordNgrams& ngrams) {
  const ValueTrie& trie = model.trie();
  int order = ngrams.size;
  float log_prob = trie.log_probs[order - 1].Value(ngrams.id(order));
  while (HWY_UNLIKELY(std::isnan(log_prob))) {
    --order;
    log_prob = trie.log_probs[order - 1].Value(ngrams.id(order));
  }
  const int longest = std::min(contexts.size, trie.order() - 1);
  switch (trie.rule) {
    case UnseenRule::kBackOff: {
      float weight = 0;
      for (int k = longest; k >= order; --k) {
        weight += trie.backoffs[k - 1].Value(contexts.id(k));
      }
      return weight + log_prob;
    }
    case UnseenRule::kFloor: {
      int k = longest;
      while (k > 0 && !trie.Matters(k, contexts.id(k))) --k;
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

// Scores one batch. Lives for one call of Score().
class BatchScorer {
 public:
  explicit BatchScorer(const ValueModel& model)
      : model_(model), trie_(model.trie()), levels_(trie_.order() - 1) {}

  void Run(absl::Span<const LanguageModel::Query> batch) {
    for (const LanguageModel::Query& query : batch) Add(query);
    ScoreBlock();
  }

 private:
  // As in count_score.cc.
  static constexpr int kSlots = 128;
  static constexpr int kMaxPieces = kSlots / 2;

  template <typename T>
  using Slots = std::array<T, kSlots>;
  // Indices of slots or look-ups, in a list that a loop appends to without a
  // branch. The element after the last one is written, too.
  using List = std::array<uint16_t, kSlots + 1>;

  // A part of one text in the block, in the slots [begin, end). The slot before
  // `begin` holds the n-grams before its first word.
  struct Piece {
    const LanguageModel::Query* query;
    size_t first_word;
    int begin, end;
  };

  // A look-up in a large context.
  struct LargeLookup {
    const LargeContext* large;
    const uint8_t* data;
    uint64_t index;  // of the large context
    RankRun run;     // of an Elias-Fano list
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

  // Adds a slot for the n-grams before a text.
  void AddContext(const std::byte* state) {
    const int slot = used_++;
    const ValueModel::Chain chain = model_.Read(state);
    for (int k = 0; k < chain.size; ++k) {
      ngrams_[k][slot] = chain.ids[k];
      PrefetchContext(trie_.levels[k], chain.ids[k]);
    }
    sizes_[slot] = chain.size;
    remembered_[slot] = chain.remembered;
  }

  void AddWords(absl::Span<const WordId> words) {
    const auto most = static_cast<uint32_t>(levels_);
    for (WordId word : words) {
      const int slot = used_++;
      ngrams_[0][slot] = word;
      ranks_[slot] = word;
      sizes_[slot] = 1;
      remembered_[slot] = std::min(remembered_[slot - 1] + 1, most);
      found_[found_count_++] = static_cast<uint16_t>(slot);
      if (levels_ > 0) PrefetchContext(trie_.levels[0], word);
    }
  }

  // Copies the last slot to the first one, as the n-grams before a text that
  // continues in the next block.
  void KeepLastSlot() {
    for (int k = 0; k < levels_; ++k) ngrams_[k][0] = ngrams_[k][kSlots - 1];
    sizes_[0] = std::min(sizes_[kSlots - 1], levels_);
    remembered_[0] = remembered_[kSlots - 1];
    used_ = 1;
  }

  WordNgrams NgramsOf(int slot) const {
    return {&ngrams_[0][slot], kSlots, sizes_[slot]};
  }

  void ScoreBlock() {
    word_count_ = found_count_;
    std::copy_n(found_.data(), word_count_, word_slots_.data());
    for (int k = 0; k < levels_ && found_count_ > 0; ++k) FindLevel(k);
    if (trie_.rule == UnseenRule::kBackOff) {
      SumValues();
    } else {
      for (int i = 0; i < word_count_; ++i) SetLogProb(word_slots_[i]);
    }
    for (int i = 0; i < piece_count_; ++i) FinishPiece(pieces_[i]);
    used_ = piece_count_ = found_count_ = 0;
  }

  void SetLogProb(int slot) {
    log_probs_[slot] = LogProb(model_, NgramsOf(slot - 1),
                               remembered_[slot - 1], NgramsOf(slot));
  }

  // Computes the log-probabilities of a model with back-off weights: does what
  // LogProb() does, order by order.
  void SumValues() {
    // The slots whose longest n-gram has order k + 1, and those for which the
    // back-off weight of the context of order k + 1 is needed.
    std::array<List, kMaxNgramOrder> longest, contexts;
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
          log_probs_[slot] = value(ngrams_[k][slot]);
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
      log_probs_[slot] += weights_[slot];
      // The longest n-gram is a blank.
      if (HWY_UNLIKELY(std::isnan(log_probs_[slot]))) SetLogProb(slot);
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

  void FinishPiece(const Piece& piece) {
    const LanguageModel::Query& query = *piece.query;
    if (!query.log_probs.empty()) {
      std::copy(&log_probs_[piece.begin], &log_probs_[piece.end - 1] + 1,
                &query.log_probs[piece.first_word]);
    }
    const size_t read = piece.first_word + (piece.end - piece.begin);
    if (query.next_state == nullptr || read < query.words.size()) return;
    ValueModel::Chain chain;
    const int last = piece.end - 1;
    chain.size = std::min(sizes_[last], levels_);
    for (int k = 0; k < chain.size; ++k) chain.ids[k] = ngrams_[k][last];
    chain.remembered = remembered_[last];
    model_.Write(chain, query.next_state);
  }

  // Where the look-ups of a level write what they find. A local variable, so
  // that its members are in registers.
  struct Results {
    // By slot: the n-grams of the next order, their ranks, and how many orders
    // were found.
    NgramId* ngrams;
    uint32_t* ranks;
    int* sizes;
    uint16_t* found;  // a List of the slots with an n-gram
    int found_count;
    bool has_next;  // whether the n-grams are contexts of a next level
    const RankLevel* next_level;

    // Keeps the n-gram of the slot's word.
    HWY_INLINE void Keep(uint32_t slot, const Child<NgramId>& child) {
      const bool exists = child.index != kNoRank;
      ngrams[slot] = child.id;
      ranks[slot] = child.index;
      sizes[slot] += exists;
      found[found_count] = static_cast<uint16_t>(slot);
      found_count += exists;
      const bool in_block =
          exists & has_next & (child.id >= next_level->direct);
      __builtin_prefetch(
          &next_level
               ->directory[(in_block ? child.id - next_level->direct : 0) /
                           kBlockContexts]);
    }
  };

  // Looks up the words of found_ among the children of their contexts of order
  // k + 1.
  void FindLevel(int k) {
    const RankLevel& level = trie_.levels[k];
    ReadContexts(level, k);
    const bool has_next = k + 1 < levels_;
    Results results = {ngrams_[k + 1].data(),
                       ranks_.data(),
                       sizes_.data(),
                       found_.data(),
                       0,
                       has_next,
                       &trie_.levels[has_next ? k + 1 : k]};
    // The look-ups by kind, as indices of blocks_.
    List single, small, large;
    int singles = 0, smalls = 0, larges = 0;
    for (int i = 0, count = block_count_; i < count; ++i) {
      BlockContext<NgramId>& context = blocks_[i];
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
      const BlockContext<NgramId>& context = blocks_[large[i]];
      LargeLookup& lookup = larges_[large_count_ + i];
      lookup.index = context.LargeIndex();
      lookup.slot = context.slot;
      __builtin_prefetch(&level.larges[lookup.index]);
    }
    large_count_ += larges;
    for (int i = 0; i < singles; ++i) {
      const BlockContext<NgramId>& context = blocks_[single[i]];
      results.Keep(context.slot,
                   FindSingleChild(level, context, ranks_[context.slot]));
    }
    for (int i = 0; i < smalls; ++i) {
      SmallContext<NgramId>& context = small_contexts_[i];
      context.Read(level, blocks_[small[i]]);
      __builtin_prefetch(context.fields + context.bit / 8);
    }
    LargeLists lists;
    ReadLarges(level, &lists);
    if (level.max_rank_bits <= kMaxNarrowBits) {
      FindSmalls<true>(level, smalls, results);
    } else {
      FindSmalls<false>(level, smalls, results);
    }
    FindLarges(level, lists, results);
    found_count_ = results.found_count;
  }

  // Splits the look-ups into those of direct contexts and those in blocks.
  void ReadContexts(const RankLevel& level, int k) {
    const NgramId* contexts = ngrams_[k].data();
    const uint64_t direct = level.direct;
    int blocks = 0, larges = 0;
    for (int i = 0, count = found_count_; i < count; ++i) {
      const uint16_t slot = found_[i];
      const bool exists = sizes_[slot - 1] > k;
      const uint64_t context = contexts[slot - 1];
      const bool is_direct = context < direct;
      larges_[larges].index = context;
      larges_[larges].slot = slot;
      larges += exists & is_direct;
      positions_[blocks] = context - direct;
      blocks_[blocks].slot = slot;
      blocks += exists & !is_direct;
    }
    for (int i = 0; i < larges; ++i) {
      __builtin_prefetch(&level.larges[larges_[i].index]);
    }
    for (int i = 0; i < blocks; ++i) {
      const uint8_t* block = level.Block(positions_[i] / kBlockContexts);
      block_starts_[i] = block;
      __builtin_prefetch(block);
      __builtin_prefetch(block + 64);
    }
    block_count_ = blocks;
    large_count_ = larges;
  }

  template <bool kNarrow>
  HWY_INLINE void FindSmalls(const RankLevel& level, int count,
                             Results& results) {
    for (int i = 0; i < count; ++i) {
      const SmallContext<NgramId>& context = small_contexts_[i];
      results.Keep(context.slot, FindSmallChild<kNarrow>(level, context,
                                                         ranks_[context.slot]));
    }
  }

  // The look-ups in large contexts by kind, as indices of larges_.
  struct LargeLists {
    List bitmap, short_list, fano;
    int bitmaps = 0, shorts = 0, fanos = 0;
  };

  // Reads the large contexts, and prefetches their ranks.
  HWY_INLINE void ReadLarges(const RankLevel& level, LargeLists* lists) {
    int bitmaps = 0, shorts = 0, fanos = 0;
    for (int i = 0, count = large_count_; i < count; ++i) {
      LargeLookup& lookup = larges_[i];
      const LargeContext& large = level.larges[lookup.index];
      lookup.large = &large;
      lookup.data = level.LargeData(large, lookup.index);
      const RankList list = large.list();
      const bool is_bitmap = list == RankList::kBitmap;
      lists->bitmap[bitmaps] = static_cast<uint16_t>(i);
      bitmaps += is_bitmap;
      lists->short_list[shorts] = static_cast<uint16_t>(i);
      shorts += list == RankList::kShort;
      lists->fano[fanos] = static_cast<uint16_t>(i);
      fanos += list >= RankList::kFano8;
      const uint32_t at = (uint32_t{0} - is_bitmap) &
                          (ranks_[lookup.slot] / kCellRanks * kCellBytes);
      __builtin_prefetch(lookup.data + at);
      __builtin_prefetch(lookup.data + at + (is_bitmap ? 0 : 64));
    }
    lists->bitmaps = bitmaps;
    lists->shorts = shorts;
    lists->fanos = fanos;
  }

  HWY_INLINE void FindLarges(const RankLevel& level, const LargeLists& lists,
                             Results& results) {
    const auto keep = [&](const LargeLookup& lookup, uint32_t child) HWY_ATTR {
      results.Keep(
          lookup.slot,
          {level.LargeFirstChild(*lookup.large, lookup.index) + child, child});
    };
    for (int i = 0; i < lists.fanos; ++i) {
      LargeLookup& lookup = larges_[lists.fano[i]];
      lookup.run = FindRun(*lookup.large, lookup.data, ranks_[lookup.slot]);
      __builtin_prefetch(lookup.run.lows);
    }
    for (int i = 0; i < lists.bitmaps; ++i) {
      const LargeLookup& lookup = larges_[lists.bitmap[i]];
      keep(lookup,
           FindInBitmap(*lookup.large, lookup.data, ranks_[lookup.slot]));
    }
    for (int i = 0; i < lists.shorts; ++i) {
      const LargeLookup& lookup = larges_[lists.short_list[i]];
      keep(lookup,
           FindInShort(*lookup.large, lookup.data, ranks_[lookup.slot]));
    }
    for (int i = 0; i < lists.fanos; ++i) {
      const LargeLookup& lookup = larges_[lists.fano[i]];
      keep(lookup, FindInRun(lookup.run, ranks_[lookup.slot]));
    }
  }

  const ValueModel& model_;
  const ValueTrie& trie_;
  const int levels_;

  int used_ = 0;  // number of slots in use
  int piece_count_ = 0;
  std::array<Piece, kMaxPieces> pieces_;
  // The n-grams of order k + 1 that end at a slot, for k < sizes_[slot].
  std::array<Slots<NgramId>, kMaxNgramOrder> ngrams_;
  Slots<int> sizes_;
  Slots<uint32_t> remembered_;  // words read; see ValueModel::Chain
  // The rank of the last n-gram of a slot that was found.
  Slots<uint32_t> ranks_;
  List found_;  // the slots with an n-gram of the order that was looked up last
  int found_count_ = 0;
  List word_slots_;
  int word_count_;
  Slots<float> log_probs_, weights_;

  // By look-up of the current level.
  int block_count_, large_count_;
  std::array<uint64_t, kSlots + 1> positions_;  // less RankLevel::direct
  Slots<const uint8_t*> block_starts_;
  std::array<BlockContext<NgramId>, kSlots + 1> blocks_;
  Slots<SmallContext<NgramId>> small_contexts_;
  std::array<LargeLookup, kSlots + 1> larges_;
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

// Scores one word and writes the n-grams that end with it to *found.
HWY_INLINE float ScoreWord(const ValueModel& model, WordId word,
                           const ValueModel::Chain& chain,
                           ValueModel::Chain* found) {
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
  const float log_prob =
      LogProb(model, {chain.ids.data(), 1, chain.size}, chain.remembered,
              {found->ids.data(), 1, size});
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
    const float log_prob =
        ScoreWord(model, query.words[i], chains[last], &chains[last ^ 1]);
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
