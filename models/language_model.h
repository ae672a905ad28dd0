#ifndef LMSERVE_MODELS_LANGUAGE_MODEL_H_
#define LMSERVE_MODELS_LANGUAGE_MODEL_H_

#include <cstddef>

#include "absl/types/span.h"
#include "models/vocabulary.h"

namespace lmserve {

// A word and ln P of it.
struct ScoredWord {
  WordId word;
  float log_prob;

  friend bool operator==(const ScoredWord& a, const ScoredWord& b) {
    return a.word == b.word && a.log_prob == b.log_prob;
  }
};

// The order of predictions: likelier first, equals by rising id.
inline bool Likelier(const ScoredWord& a, const ScoredWord& b) {
  if (a.log_prob != b.log_prob) return a.log_prob > b.log_prob;
  return a.word < b.word;
}

// Writes the best words of a distribution in that order. REQUIRES: best.size()
// <= log_probs.size().
void TakeBest(absl::Span<const float> log_probs, absl::Span<ScoredWord> best);

// A LanguageModel tells how probable each word of a text is, given the words
// before it. What it remembers of a text is a state: state_size() plain bytes
// that the caller owns, and may copy, compare, hash, store and send. Two states
// with the same bytes give every continuation the same probabilities.
//
// All probabilities are natural logarithms. <s> is never predicted: its
// log-probability is -infinity wherever a distribution is asked for. The answer
// to one query never depends on what else is in the batch.
//
// Immutable once made: any number of threads may use one at a time.
class LanguageModel {
 public:
  virtual ~LanguageModel() = default;

  virtual const Vocabulary& vocabulary() const = 0;

  // Whether an answer costs no more than a few looks into memory a word: then
  // it is had sooner than another thread is woken, and requests of several
  // callers gain nothing by being brought together.
  virtual bool is_lookup() const { return false; }

  // Whether TopK() finds the best words without a look at all others.
  virtual bool has_fast_top_k() const { return false; }

  // Bytes of a state, a multiple of 4; states need the alignment of a float.
  virtual size_t state_size() const = 0;

  // Writes the state of a text of which only <s> was read.
  virtual void Start(std::byte* state) const = 0;

  // One text to score, as views of the caller's memory.
  struct Query {
    const std::byte* state;          // in: the context
    absl::Span<const WordId> words;  // what comes next; ids < vocabulary size
    std::byte* next_state;           // out: after the words; may be null
    absl::Span<float> log_probs;  // out: ln P(words[t] | all before), or empty
  };

  // Scores whole sequences, many at once. REQUIRES: log_probs is empty or as
  // long as words; a next_state may be its own query's state, but overlaps no
  // other memory of the batch.
  virtual void Score(absl::Span<const Query> batch) const = 0;

  // Writes ln P(w | state) of every word w: (states.size(), V), row by row.
  virtual void Distribution(absl::Span<const std::byte* const> states,
                            float* log_probs) const = 0;

  // Writes the k best next words of each state in the order of Likelier():
  // (states.size(), k), row by row. The default sorts the distribution.
  // REQUIRES: 1 <= k <= V; best.size() == states.size() * k.
  virtual void TopK(absl::Span<const std::byte* const> states, size_t k,
                    absl::Span<ScoredWord> best) const;
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_LANGUAGE_MODEL_H_
