// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_NGRAM_COMPACT_COUNT_MODEL_H_
#define LMSERVE_MODELS_NGRAM_COMPACT_COUNT_MODEL_H_

#include <array>
#include <memory>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "models/language_model.h"
#include "models/ngram/compact/count_trie.h"
#include "models/ngram/ngram_set.h"

namespace lmserve {

// The suffixes of the words read so far: element k - 1 is the id of the last k
// words, or kNoNgram from the first k on for which the model has no such
// n-gram. One element for each order below the highest.
using CountChain = std::array<NgramId, kMaxNgramOrder - 1>;

// An n-gram model in the compact layout (see count_trie.h), whose probabilities
// are computed from counts by interpolation of all orders:
//
//   P_0(w) = 1 / |V|,   P_k(w | h) = u(h w) + g(h) P_{k-1}(w | h'),
//
// where u and g are given by CountSmoothing. All are computed in double, in the
// same order of operations everywhere; the logarithm is rounded to float once.
// So each way to ask for a probability returns the same bits.
//
// A state is the chain of suffixes: 4 bytes for each order below the highest,
// or 8 if there are 2^32 n-grams of an order.
//
// Owns its vocabulary, not the bytes of the file. Immutable: any number of
// threads may use one instance.
class CountModel final : public LanguageModel, public NgramSet {
 public:
  // Checks all of the bytes, and fails as CountTrie::Parse() does. The bytes
  // must be aligned to 8 bytes and outlive the model.
  static absl::StatusOr<std::unique_ptr<CountModel>> Create(
      Vocabulary vocabulary, absl::string_view bytes);

  const Vocabulary& vocabulary() const override { return vocabulary_; }
  bool is_lookup() const override { return true; }
  bool has_fast_top_k() const override { return true; }
  size_t state_size() const override { return chain_size_ * id_size_; }
  void Start(std::byte* state) const override;
  bool StartEmpty(std::byte* state) const override;
  bool has_ngram_lengths() const override { return true; }

  // See count_score.cc.
  void Score(absl::Span<const Query> batch) const override;

  // See count_predict.cc.
  void Distribution(absl::Span<const std::byte* const> states,
                    float* log_probs) const override;
  void TopK(absl::Span<const std::byte* const> states, size_t k,
            absl::Span<ScoredWord> best) const override;

  int order() const override { return trie_.order(); }
  UnseenRule rule() const override { return UnseenRule::kBackOff; }
  uint64_t Count(int order) const override { return trie_.Count(order); }
  void ForEach(int order,
               absl::FunctionRef<void(const Ngram&)> visit) const override;

  // Used by count_score.cc and count_predict.cc.
  const CountTrie& trie() const { return trie_; }

  // The number of elements of a chain that a state has: order() - 1, but at
  // least 1.
  int chain_size() const { return chain_size_; }
  // Whether a state has ids of 8 bytes instead of 4.
  bool has_wide_ids() const { return id_size_ == sizeof(uint64_t); }
  void Read(const std::byte* state, CountChain* chain) const;
  void Write(const CountChain& chain, std::byte* state) const;

  // Returns the id that a chain has for a word: kNoNgram after a </s> that has
  // no children, so that all ended texts have the same state.
  NgramId FirstOfChain(WordId word) const {
    return word == ignored_end_ ? kNoNgram : word;
  }

  // Returns the contexts of a chain, shortest first.
  std::vector<RankContext> Contexts(const CountChain& chain) const;

 private:
  CountModel(Vocabulary vocabulary, CountTrie trie);

  Vocabulary vocabulary_;
  CountTrie trie_;
  int chain_size_;
  size_t id_size_;       // 4 or 8
  NgramId ignored_end_;  // </s>, or kNoNgram if it has children
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NGRAM_COMPACT_COUNT_MODEL_H_
