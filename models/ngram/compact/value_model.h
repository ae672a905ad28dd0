// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_NGRAM_COMPACT_VALUE_MODEL_H_
#define LMSERVE_MODELS_NGRAM_COMPACT_VALUE_MODEL_H_

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "models/language_model.h"
#include "models/ngram/compact/value_trie.h"
#include "models/ngram/ngram_set.h"

namespace lmserve {

// An n-gram model in the compact layout with values (see value_trie.h). Its
// log-probabilities are sums of the same floats in the same order as those of
// NgramModel, so they have the same bits, unless the file is quantized.
//
// A state has the id of each suffix of the words read so far that is an n-gram
// below the highest order: 4 bytes for each order, or 8 if there are 2^32
// n-grams of an order. The longest suffixes are left out if they do not matter
// for the words that follow. With stupid back-off, a state has 4 more bytes for
// the number of words that were read.
//
// Owns its vocabulary, not the bytes of the file. Immutable: any number of
// threads may use one instance.
class ValueModel final : public LanguageModel, public NgramSet {
 public:
  // Checks all of the bytes, and fails as ValueTrie::Parse() does. The bytes
  // must be aligned to 8 bytes and outlive the model.
  static absl::StatusOr<std::unique_ptr<ValueModel>> Create(
      Vocabulary vocabulary, absl::string_view bytes);

  const Vocabulary& vocabulary() const override { return vocabulary_; }
  bool is_lookup() const override { return true; }
  bool has_fast_top_k() const override { return true; }
  size_t state_size() const override;
  void Start(std::byte* state) const override;
  bool StartEmpty(std::byte* state) const override;
  bool has_ngram_lengths() const override { return true; }

  // See value_score.cc.
  void Score(absl::Span<const Query> batch) const override;

  // See value_predict.cc.
  void Distribution(absl::Span<const std::byte* const> states,
                    float* log_probs) const override;
  void TopK(absl::Span<const std::byte* const> states, size_t k,
            absl::Span<ScoredWord> best) const override;

  // Blanks are not counted and not visited.
  int order() const override { return trie_.order(); }
  UnseenRule rule() const override { return trie_.rule; }
  float log_alpha() const override { return trie_.log_alpha; }
  uint64_t Count(int order) const override {
    return trie_.Entries(order) - trie_.blanks[order - 1];
  }
  void ForEach(int order,
               absl::FunctionRef<void(const Ngram&)> visit) const override;

  // Used by value_score.cc and value_predict.cc.
  const ValueTrie& trie() const { return trie_; }

  // The decoded fields of a state.
  struct Chain {
    // ids[k - 1] is the n-gram of the last k words, for 1 <= k <= size.
    std::array<NgramId, kMaxNgramOrder> ids;
    int size = 0;
    uint32_t remembered = 0;  // words read, at most order() - 1; kStupid only
  };
  Chain Read(const std::byte* state) const;
  // Leaves out the n-grams that do not matter.
  void Write(const Chain& chain, std::byte* state) const;

  // Returns the contexts of a chain, shortest first.
  std::vector<RankContext> Contexts(const Chain& chain) const;

  // For kFloor: returns the order of the longest n-gram of a chain that
  // matters, on which alone the next word depends, or 0 if none matters.
  int FloorOrder(const Chain& chain) const;

  // For kStupid: the log-weight for backing off from a context of `remembered`
  // words to one of `used` words.
  float StupidWeight(uint32_t remembered, int used) const {
    return (static_cast<int>(remembered) - used) * trie_.log_alpha;
  }

 private:
  ValueModel(Vocabulary vocabulary, ValueTrie trie);

  Vocabulary vocabulary_;
  ValueTrie trie_;
  size_t id_size_;  // 4 or 8
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NGRAM_COMPACT_VALUE_MODEL_H_
