// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_NGRAM_FAST_NGRAM_MODEL_H_
#define LMSERVE_MODELS_NGRAM_FAST_NGRAM_MODEL_H_

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "models/language_model.h"
#include "models/ngram/fast/ngram_file.h"
#include "models/ngram/ngram_set.h"

namespace lmserve {

// An n-gram model that uses the contents of ngram.bin in place. A state is the
// longest context that matters for the words after it, stored as its node id in
// 4 bytes. With stupid back-off, a state has 4 more bytes for the number of
// words that were read before that context.
//
// Owns its vocabulary, not the bytes of the file. Immutable: any number of
// threads may use one instance.
class NgramModel final : public LanguageModel, public NgramSet {
 public:
  // Checks all of the bytes, and fails as NgramFile::Parse() does, or if <s>
  // has a probability. The bytes must be aligned to 8 bytes and outlive the
  // model.
  static absl::StatusOr<std::unique_ptr<NgramModel>> Create(
      Vocabulary vocabulary, absl::string_view bytes);

  const Vocabulary& vocabulary() const override { return vocabulary_; }
  bool is_lookup() const override { return true; }
  bool has_fast_top_k() const override { return true; }
  size_t state_size() const override;
  void Start(std::byte* state) const override;
  bool StartEmpty(std::byte* state) const override;
  bool has_ngram_lengths() const override { return true; }

  // Looks up the words of several texts at once, so that memory accesses
  // overlap. See ngram_score.cc.
  void Score(absl::Span<const Query> batch) const override;

  void Distribution(absl::Span<const std::byte* const> states,
                    float* log_probs) const override;

  // Merges the sorted children of the context and of its suffixes. For a small
  // k it reads only a few entries, except if many of them are skipped; it never
  // takes much longer than Distribution().
  void TopK(absl::Span<const std::byte* const> states, size_t k,
            absl::Span<ScoredWord> best) const override;

  int order() const override { return file_.order(); }
  UnseenRule rule() const override { return file_.rule(); }
  float log_alpha() const override { return file_.header.log_alpha; }
  uint64_t Count(int order) const override {
    return file_.header.counts[order - 1];
  }

  // The score of one word.
  struct Step {
    float log_prob;
    int order;  // see Query::ngram_lengths
  };

  // Scores one word and advances the state in place.
  Step ScoreWord(std::byte* state, WordId word) const;

  // A state as the contexts in which ScoreWord() looks for the next word: that
  // of the state and its suffixes, longest first, with what is needed of each
  // node. The empty context, and those after the first kMost, are not kept.
  struct Contexts {
    static constexpr uint32_t kMost = 4;

    struct Item {
      NodeId node;
      NodeId begin, end;  // its children
      float backoff;
    };

    uint32_t count = 0;
    std::array<Item, kMost> items;  // the first `count` are set
  };

  // Returns the contexts of a state. REQUIRES: rule() is UnseenRule::kBackOff.
  Contexts ContextsOf(const std::byte* state) const;

  // The size of a state. REQUIRES: rule() is UnseenRule::kBackOff.
  static constexpr size_t kBackOffStateSize = sizeof(NodeId);

  // Writes the state that has these contexts.
  void WriteState(const Contexts& contexts, std::byte* state) const;

  // Scores one word in the contexts `before` and sets `after` to those after
  // it; they may be the same object. Returns the same bits as ScoreWord() of
  // the state, but for a large model sooner: looks for the word in all contexts
  // at once, and ends while the memory that the next word needs is on its way.
  Step ScoreWord(const Contexts& before, WordId word, Contexts* after) const;

  // Returns the ln back-off weight of a word that no n-gram with a word of the
  // contexts ends with: ScoreWord() adds it to ln P of the 1-gram.
  // REQUIRES: rule() is UnseenRule::kBackOff.
  float BackoffWeight(const Contexts& contexts) const;

  // Visits the n-grams of a context in the order of Likelier().
  void ForEach(int order,
               absl::FunctionRef<void(const Ngram&)> visit) const override;

 private:
  friend class NgramScorer;
  friend class NgramMerger;

  // The decoded fields of a state.
  struct Context {
    NodeId node = kRoot;
    uint32_t missing = 0;  // words read before those of node; kStupid only
  };

  // A list of next words, sorted by Likelier(): the children of a context, or
  // the whole vocabulary for the root. `weight` is added to their
  // log-probabilities.
  struct Source {
    NodeId node;
    float weight;
  };

  // The words that a search for the best ones may skip in any vocabulary.
  static constexpr size_t kMaxSkipped = 1'000;

  NgramModel(Vocabulary vocabulary, const NgramFile& file);

  Context Read(const std::byte* state) const;
  void Write(const Context& context, std::byte* state) const;

  // Returns the number of words that a context remembers, up to order() - 1.
  int Remembered(const Context& context) const {
    return file_.OrderOf(context.node) + static_cast<int>(context.missing);
  }
  // Creates the context of a node after `remembered` words.
  Context MakeContext(NodeId node, int remembered) const;

  // For kStupid: the log-weight for backing off from a context of `remembered`
  // words to one of `used` words.
  float StupidWeight(int remembered, int used) const {
    return (remembered - used) * file_.header.log_alpha;
  }

  // Sets contexts to a node and its suffixes.
  void FillContexts(NodeId node, Contexts* contexts) const;

  // Returns the context after a word that was read in the context `before` and
  // found as the n-gram `found`.
  Context After(const Context& before, NodeId found) const;

  // Returns the context and its suffixes, longest first, the root last.
  std::vector<Source> Sources(const Context& context) const;
  size_t SourceSize(const Source& source) const;
  ScoredWord SourceWord(const Source& source, size_t i) const;

  void FillDistribution(const Context& context, float* log_probs) const;
  // Finds the best words in the time that the whole distribution takes.
  void SortDistribution(const Context& context,
                        absl::Span<ScoredWord> best) const;
  void FillTopK(const Context& context, absl::Span<ScoredWord> best) const;
  void FillTopKFloor(NodeId context, absl::Span<ScoredWord> best) const;

  Vocabulary vocabulary_;
  NgramFile file_;
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NGRAM_FAST_NGRAM_MODEL_H_
