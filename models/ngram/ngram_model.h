#ifndef LMSERVE_MODELS_NGRAM_NGRAM_MODEL_H_
#define LMSERVE_MODELS_NGRAM_NGRAM_MODEL_H_

#include <memory>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "models/language_model.h"
#include "models/ngram/ngram_file.h"

namespace lmserve {

// An n-gram model over the bytes of ngram.bin, which it reads in place. A state
// is the longest context that matters to what follows: the number of its node,
// 4 bytes; for stupid back-off also the number of words before it, 8 bytes.
//
// Immutable: any number of threads may use one at a time.
class NgramModel final : public LanguageModel {
 public:
  // Checks the bytes in full. They must outlive the model, 8-byte aligned.
  static absl::StatusOr<std::unique_ptr<NgramModel>> Create(
      Vocabulary vocabulary, absl::string_view bytes);

  const Vocabulary& vocabulary() const override { return vocabulary_; }
  bool is_lookup() const override { return true; }
  bool has_fast_top_k() const override { return true; }
  size_t state_size() const override;
  void Start(std::byte* state) const override;

  // Walks several texts at once, so that the memory accesses of one overlap the
  // work on the others; each answer is what the text alone would get.
  void Score(absl::Span<const Query> batch) const override;

  void Distribution(absl::Span<const std::byte* const> states,
                    float* log_probs) const override;

  // Merges the children of the context and of its suffixes, each likeliest
  // first; never looks at the whole vocabulary for a small k.
  void TopK(absl::Span<const std::byte* const> states, size_t k,
            absl::Span<ScoredWord> best) const override;

  int order() const { return file_.order(); }
  UnseenRule rule() const { return file_.rule(); }

  // How many n-grams there are of an order.
  size_t Count(int order) const { return file_.header->counts[order - 1]; }

  // How one word was scored.
  struct Step {
    float log_prob;
    int order;  // words in the n-gram found, the word included
  };

  // Scores one word and moves the state.
  Step ScoreWord(std::byte* state, WordId word) const;

  // One n-gram of the model. backoff is 0 at the highest order.
  struct Ngram {
    absl::Span<const WordId> words;
    float log_prob;
    float backoff;
  };

  // Visits the n-grams of an order, context by context, likeliest first.
  void ForEach(int order, absl::FunctionRef<void(const Ngram&)> visit) const;

 private:
  friend class NgramScorer;
  friend class NgramMerger;

  // A state taken apart.
  struct Context {
    NodeId node = kRoot;
    uint32_t missing = 0;  // words read before the node's; kStupid only
  };

  // A list of next words, likeliest first: the children of a context, or, of
  // the root, the vocabulary. The weight is added to their log-probabilities.
  struct Source {
    NodeId node;
    float weight;
  };

  NgramModel(Vocabulary vocabulary, const NgramFile& file);

  Context Read(const std::byte* state) const;
  void Write(const Context& context, std::byte* state) const;

  // The number of words that a context stands for, and the other way round.
  int Remembered(const Context& context) const {
    return file_.OrderOf(context.node) + static_cast<int>(context.missing);
  }
  Context MakeContext(NodeId node, int remembered) const;

  // Of kStupid: ln of what it costs to go from a context of `remembered` words
  // to one of `used`.
  float StupidWeight(int remembered, int used) const {
    return (remembered - used) * file_.header->log_alpha;
  }
  // The context after a text of the context `before` was ended by the n-gram
  // `found`.
  Context After(const Context& before, NodeId found) const;

  // The context and all it backs off to, longest first, the root last.
  std::vector<Source> Sources(const Context& context) const;
  size_t SourceSize(const Source& source) const;
  ScoredWord SourceWord(const Source& source, size_t i) const;

  void FillDistribution(const Context& context, float* log_probs) const;
  void FillTopK(const Context& context, absl::Span<ScoredWord> best) const;
  void FillTopKFloor(NodeId context, absl::Span<ScoredWord> best) const;

  Vocabulary vocabulary_;
  NgramFile file_;
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NGRAM_NGRAM_MODEL_H_
