// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_NGRAM_INTERPOLATE_H_
#define LMSERVE_TRAINER_NGRAM_INTERPOLATE_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "models/ngram/ngram_table.h"
#include "models/vocabulary.h"
#include "trainer/ngram/backoff_weights.h"
#include "trainer/ngram/ngram_tree.h"

namespace lmserve {

// Several back-off models as models over the union of their vocabularies.
//
// A member reads a word that it does not know as <unk>. It also predicts <unk>
// for such a word, so if the union has n > 0 words that member m does not know,
// they share a part s of the probability of its <unk> equally:
//
//   P_m(w | h) = s / n P_m(<unk> | h)          for each of these words,
//   P_m(<unk> | h) is multiplied by 1 - s,
//
// and every distribution of the member still sums to 1. With s = 0 these words
// are impossible for the member, as in SRILM.
//
// Immutable: any number of threads may use it.
class NgramUnion {
 public:
  // A member. Does not own the model, which must outlive the union.
  struct Model {
    const Vocabulary* vocabulary;
    const NgramTable* table;
  };

  // `share` is s above. The vocabulary has the words of the first model in the
  // order of its ids, then those of the second one that the first does not
  // have, and so on. REQUIRES: at least 1 model; all have UnseenRule::kBackOff;
  // 0 <= share <= 1.
  NgramUnion(absl::Span<const Model> models, double share);

  const Vocabulary& vocabulary() const { return *vocabulary_; }
  size_t size() const { return members_.size(); }

  // Returns the number of words of the union that a member does not know.
  uint64_t Unknown(size_t member) const { return members_[member].unknown; }

  // Returns ln P of the words of a text under a member. The text is in the form
  // of Corpus::words; <s> gets no number.
  std::vector<float> Score(size_t member, absl::Span<const WordId> text) const;

  // Returns one model with the n-grams of all members:
  //
  //   P(w | h) = sum over m of weights[m] P_m(w | h)   for each n-gram h w,
  //
  // each P_m with its back-off, and back-off weights with which each
  // distribution sums to 1. For words without an n-gram it only approximates
  // the interpolation of the members, which have a back-off weight each. This
  // is the static interpolation of SRILM (Stolcke 2002), -mix-lm without
  // -bayes. RESOURCE_EXHAUSTED if the members have 2^32 n-grams or more.
  // REQUIRES: one weight for each member; they are not negative and sum to 1.
  absl::StatusOr<NormalizedTable> Interpolate(
      absl::Span<const double> weights) const;

 private:
  friend class NgramInterpolator;

  struct Member {
    explicit Member(const Model& model)
        : table(*model.table), tree(*model.table) {}

    const NgramTable& table;
    NgramTree tree;
    std::vector<WordId> union_ids;  // the id in the union, by the member's id
    std::vector<WordId> ids;        // the member's id or its <unk>, by union id
    std::vector<bool> is_known;     // by union id
    uint64_t unknown = 0;           // number of unknown words
    double log_kept = 0;   // ln of the part that <unk> keeps: 1 - s, or 1
    double log_share = 0;  // ln of the part of each unknown word: s / n
  };

  // Returns ln P(word | *state) under a member and advances the state.
  // `word` is an id of the union.
  static double Advance(const Member& member, WordId unknown, NgramPlace* state,
                        WordId word);

  std::unique_ptr<const Vocabulary> vocabulary_;
  std::vector<Member> members_;
};

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_NGRAM_INTERPOLATE_H_
