// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_CACHE_CACHE_MODEL_H_
#define LMSERVE_MODELS_CACHE_CACHE_MODEL_H_

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "models/cache/cache_history.h"
#include "models/cache/cache_options.h"
#include "models/hidden_state_model.h"
#include "models/language_model.h"

namespace lmserve {

// A model that adapts to the text that it reads: words that the text had become
// likelier. It mixes a member with caches c (see CacheKind):
//
//   P(w | h) = (1 - sum_c weight_c) P_member(w | h) + sum_c weight_c P_c(w | h)
//
// A cache that knows no word, because the text has none yet or none after the
// same words, is replaced by the member. The caches read every word, <unk> and
// </s> included, except <s>, which no model predicts.
//
// A state is that of the member, then a CacheHistory. It has state_size() -
// member.state_size() bytes more: 8 + 4 history, and for a continuous cache
// another 4 (or 2) history hidden_size(). Reading a word costs the member's
// time and, for a continuous cache, history dot products.
//
// Owns its member. Immutable: any number of threads may use one instance.
class CacheModel final : public LanguageModel {
 public:
  // Returns INVALID_ARGUMENT if CheckCacheOptions() does, if there is a
  // continuous cache and the member has no hidden states, and if a state would
  // have more than kMaxCacheState bytes.
  static absl::StatusOr<std::unique_ptr<CacheModel>> Create(
      std::unique_ptr<LanguageModel> member, CacheOptions options);

  const Vocabulary& vocabulary() const override {
    return member_->vocabulary();
  }
  // Gates and states are those of the member.
  const InspectableModel* inspectable() const override {
    return member_->inspectable();
  }
  size_t state_size() const override { return history_at_ + history_.bytes(); }
  void Start(std::byte* state) const override;
  // Returns false unless the member returns true.
  bool StartEmpty(std::byte* state) const override;

  void Score(absl::Span<const Query> batch) const override;
  void Distribution(absl::Span<const std::byte* const> states,
                    float* log_probs) const override;

  // The number of parts of the mixture: the member and the caches.
  size_t parts() const { return 1 + options_.caches.size(); }

  // Moves the states as Score() does, but keeps the parts of the mixture apart:
  // writes ln P of the words of all queries that have log_probs, which it
  // overwrites, under the member and then under each cache, as a row-major
  // matrix of shape (parts(), words). The weights do not matter.
  void ScoreParts(absl::Span<const Query> batch, float* parts) const;

 private:
  class Text;

  CacheModel(std::unique_ptr<LanguageModel> member, CacheOptions options);

  // ScoreParts() for a few queries, or for one with many words. Their words
  // begin at column 0 of `parts`, whose rows have `stride` numbers.
  void ScoreGroup(absl::Span<const Query> group, float* parts,
                  size_t stride) const;
  void ScoreLongText(const Query& query, float* parts, size_t stride) const;
  // Both write the rows of the caches for the words of a query. The row of the
  // member is there already. `hidden` has the states before the words.
  void ScoreContinuous(const Text& text, const float* hidden, float* parts,
                       size_t stride) const;
  void ScoreNgrams(const Text& text, float* parts, size_t stride) const;

  // Write the rows of the caches for all words of the vocabulary after a text.
  void FillContinuous(const Text& text, absl::Span<const float> hidden,
                      float* parts, size_t stride) const;
  void FillNgrams(const Text& text, float* parts, size_t stride) const;

  const std::unique_ptr<LanguageModel> member_;
  const HiddenStateModel* const hidden_;  // null: no continuous cache
  const CacheOptions options_;
  const CacheHistory history_;
  const size_t history_at_;      // offset of the history in a state
  std::vector<double> weights_;  // of the member and the caches
  struct Decay {
    std::vector<double> powers;  // decay^age, for each age < history
    std::vector<double> sums;    // of the first n powers, for each n <= history
  };
  std::vector<Decay> decays_;  // of each cache; empty for a continuous one
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_CACHE_CACHE_MODEL_H_
