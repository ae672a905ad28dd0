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
// other processors score a word at a time with CountContext.
//
// Tested by tests/conformance and tests/models/ngram/value_model_test.cc.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "models/ngram/value_model.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "models/ngram/value_score.cc"
// Of the instruction sets, only AVX2 makes a difference.
#define HWY_DISABLED_TARGETS (~(HWY_BASELINE_TARGETS | HWY_AVX2))
#include "hwy/foreach_target.h"
// Highway requires these includes after foreach_target.h.
#include "hwy/highway.h"
#include "models/ngram/child_lookup-inl.h"

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

HWY_INLINE void PrefetchContext(const CountLevel& level, NgramId id) {
  __builtin_prefetch(
      id < level.direct
          ? static_cast<const void*>(&level.larges[id])
          : &level.directory[(id - level.direct) / kBlockContexts]);
}

HWY_INLINE void PrefetchBlock(const CountLevel& level, NgramId id) {
  if (id < level.direct) return;
  const uint8_t* block = level.Block((id - level.direct) / kBlockContexts);
  __builtin_prefetch(block);
  __builtin_prefetch(block + 64);
}

// Returns the child of a context with a rank.
HWY_INLINE Child<NgramId> FindRank(const CountLevel& level, NgramId context,
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

  struct LargeLookup {
    const LargeContext* large;
    const uint8_t* data;
    uint64_t index;  // of the large context
    uint16_t slot;
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
    for (int k = 0; k < levels_ && found_count_ > 0; ++k) FindLevel(k);
    for (int i = 0; i < piece_count_; ++i) PrefetchValues(pieces_[i]);
    for (int i = 0; i < piece_count_; ++i) FinishPiece(pieces_[i]);
    used_ = piece_count_ = found_count_ = 0;
  }

  void PrefetchValues(const Piece& piece) const {
    for (int slot = piece.begin; slot < piece.end; ++slot) {
      const int order = sizes_[slot];
      __builtin_prefetch(
          trie_.log_probs[order - 1].Address(ngrams_[order - 1][slot]));
      const int longest = std::min(sizes_[slot - 1], levels_);
      for (int k = order; k <= longest; ++k) {
        __builtin_prefetch(
            trie_.backoffs[k - 1].Address(ngrams_[k - 1][slot - 1]));
      }
    }
  }

  void FinishPiece(const Piece& piece) {
    const LanguageModel::Query& query = *piece.query;
    if (!query.log_probs.empty()) {
      float* log_prob = &query.log_probs[piece.first_word];
      for (int slot = piece.begin; slot < piece.end; ++slot) {
        *log_prob++ = LogProb(model_, NgramsOf(slot - 1), remembered_[slot - 1],
                              NgramsOf(slot));
      }
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

  // Looks up the words of found_ among the children of their contexts of order
  // k + 1.
  void FindLevel(int k) {
    const CountLevel& level = trie_.levels[k];
    level_ = &level;
    ReadContexts(ngrams_[k].data(), k);
    found_count_ = 0;
    next_ngrams_ = ngrams_[k + 1].data();
    next_level_ = k + 1 < levels_ ? &trie_.levels[k + 1] : nullptr;
    // The look-ups by kind, as indices of blocks_.
    List single, small, large;
    int singles = 0, smalls = 0, larges = 0;
    for (int i = 0; i < block_count_; ++i) {
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
      AddLarge(context.LargeIndex(), context.slot);
    }
    for (int i = 0; i < singles; ++i) {
      const BlockContext<NgramId>& context = blocks_[single[i]];
      Keep(k, context.slot,
           FindSingleChild(level, context, ranks_[context.slot]));
    }
    for (int i = 0; i < smalls; ++i) {
      SmallContext<NgramId>& context = small_contexts_[i];
      context.Read(level, blocks_[small[i]]);
      __builtin_prefetch(context.fields + context.bit / 8);
    }
    for (int i = 0; i < large_count_; ++i) {
      LargeLookup& lookup = larges_[i];
      const LargeContext& entry = level.larges[lookup.index];
      lookup.large = &entry;
      lookup.data = level.LargeData(entry, lookup.index);
      const uint32_t at = entry.list() == RankList::kBitmap
                              ? ranks_[lookup.slot] / kCellRanks * kCellBytes
                              : 0;
      __builtin_prefetch(lookup.data + at);
    }
    const bool narrow = level.max_rank_bits <= kMaxNarrowBits;
    for (int i = 0; i < smalls; ++i) {
      const SmallContext<NgramId>& context = small_contexts_[i];
      const uint32_t rank = ranks_[context.slot];
      Keep(k, context.slot,
           narrow ? FindSmallChild<true>(level, context, rank)
                  : FindSmallChild<false>(level, context, rank));
    }
    for (int i = 0; i < large_count_; ++i) {
      const LargeLookup& lookup = larges_[i];
      const uint32_t found =
          FindInLarge(*lookup.large, lookup.data, ranks_[lookup.slot]);
      Keep(k, lookup.slot,
           {level.LargeFirstChild(*lookup.large, lookup.index) + found, found});
    }
  }

  // Splits the look-ups into those of direct contexts and those in blocks.
  void ReadContexts(const NgramId* contexts, int k) {
    const CountLevel& level = *level_;
    int blocks = 0;
    large_count_ = 0;
    for (int i = 0; i < found_count_; ++i) {
      const uint16_t slot = found_[i];
      if (sizes_[slot - 1] <= k) continue;  // there is no such context
      const NgramId context = contexts[slot - 1];
      if (context < level.direct) {
        AddLarge(context, slot);
        continue;
      }
      positions_[blocks] = context - level.direct;
      blocks_[blocks].slot = slot;
      const uint8_t* block = level.Block(positions_[blocks] / kBlockContexts);
      block_starts_[blocks++] = block;
      __builtin_prefetch(block);
      __builtin_prefetch(block + 64);
    }
    block_count_ = blocks;
  }

  void AddLarge(uint64_t index, uint16_t slot) {
    LargeLookup& lookup = larges_[large_count_++];
    lookup.index = index;
    lookup.slot = slot;
    __builtin_prefetch(&level_->larges[index]);
  }

  // Keeps the n-gram of order k + 2 that was found for a slot.
  HWY_INLINE void Keep(int k, uint16_t slot, const Child<NgramId>& child) {
    next_ngrams_[slot] = child.id;
    ranks_[slot] = child.index;
    const bool exists = child.index != kNoRank;
    sizes_[slot] = exists ? k + 2 : k + 1;
    found_[found_count_] = slot;
    found_count_ += exists;
    if (exists && next_level_ != nullptr) {
      PrefetchContext(*next_level_, child.id);
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

  // Of the current level.
  const CountLevel* level_;
  const CountLevel* next_level_;
  NgramId* next_ngrams_;
  int block_count_, large_count_;
  Slots<uint64_t> positions_;  // less CountLevel::direct
  Slots<const uint8_t*> block_starts_;
  Slots<BlockContext<NgramId>> blocks_;
  Slots<SmallContext<NgramId>> small_contexts_;
  Slots<LargeLookup> larges_;
};

#else  // without AVX2

void PrefetchBlock(const CountLevel&, NgramId) {}

struct FoundRank {
  NgramId id;
  uint32_t index;
};

// Returns the child of a context with a rank.
FoundRank FindRank(const CountLevel& level, NgramId id, uint32_t rank) {
  const CountContext context(level, id);
  const uint32_t index = context.Find(rank);
  return {context.first_child() + index, index};
}

#endif

// Scores one word and advances the chain.
float ScoreWord(const ValueModel& model, WordId word,
                ValueModel::Chain* chain) {
  const ValueTrie& trie = model.trie();
  const int longest = trie.order() - 1;
  // The contexts' memory is far apart, but all addresses are known.
  for (int k = 0; k < chain->size; ++k) {
    PrefetchBlock(trie.levels[k], chain->ids[k]);
  }
  ValueModel::Chain found;
  found.ids[0] = word;
  found.size = 1;
  uint32_t rank = word;
  for (int k = 0; k < chain->size; ++k) {
    const auto child = FindRank(trie.levels[k], chain->ids[k], rank);
    if (child.index == kNoRank) break;
    found.ids[found.size++] = child.id;
    rank = child.index;
  }
  const float log_prob =
      LogProb(model, {chain->ids.data(), 1, chain->size}, chain->remembered,
              {found.ids.data(), 1, found.size});
  found.size = std::min(found.size, longest);
  found.remembered = std::min<uint32_t>(chain->remembered + 1, longest);
  *chain = found;
  return log_prob;
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
  for (const LanguageModel::Query& query : batch) {
    ValueModel::Chain chain = model.Read(query.state);
    for (size_t i = 0; i < query.words.size(); ++i) {
      const float log_prob = ScoreWord(model, query.words[i], &chain);
      if (!query.log_probs.empty()) query.log_probs[i] = log_prob;
    }
    if (query.next_state != nullptr) model.Write(chain, query.next_state);
  }
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
