// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_LANGUAGE_MODEL_H_
#define LMSERVE_MODELS_LANGUAGE_MODEL_H_

#include <cstddef>
#include <cstdint>
#include <limits>

#include "absl/types/span.h"
#include "models/inspectable_model.h"
#include "models/sentence_encoder.h"
#include "models/vocabulary.h"

namespace lmserve {

class HiddenStateModel;

// The natural logarithm of the probability 0.
constexpr float kImpossible = -std::numeric_limits<float>::infinity();

// A word and the natural logarithm of its probability.
struct ScoredWord {
  WordId word;
  float log_prob;

  friend bool operator==(const ScoredWord& a, const ScoredWord& b) {
    return a.word == b.word && a.log_prob == b.log_prob;
  }
};

// Orders predictions: higher probability first, equal ones by ascending id.
inline bool Likelier(const ScoredWord& a, const ScoredWord& b) {
  if (a.log_prob != b.log_prob) return a.log_prob > b.log_prob;
  return a.word < b.word;
}

// A LanguageModel returns the probability of each word of a text given the
// words before it. It keeps what it needs to know of the words before in a
// state: state_size() plain bytes that the caller owns, and may copy, compare,
// hash, store and send. Two states with the same bytes give every continuation
// the same probabilities.
//
// All probabilities are natural logarithms. <s> is never predicted: its
// log-probability is -infinity in every distribution. The answer to a query
// does not depend on the other queries in the batch.
//
// Immutable after construction: any number of threads may use one instance.
class LanguageModel {
 public:
  virtual ~LanguageModel() = default;

  virtual const Vocabulary& vocabulary() const = 0;

  // Whether an answer costs only a few memory accesses per word. Such an answer
  // takes less time than waking another thread, and batching the requests of
  // several callers gains nothing.
  virtual bool is_lookup() const { return false; }

  // Whether TopK() finds the best words without scoring the whole vocabulary.
  virtual bool has_fast_top_k() const { return false; }

  // Returns the model itself if its gates and states can be looked at while it
  // reads a text, otherwise null.
  virtual const InspectableModel* inspectable() const { return nullptr; }

  // Returns the vectors that the model has of sentences, or null.
  virtual const SentenceEncoder* sentence_encoder() const { return nullptr; }

  // Returns the model itself if it gives the hidden states from which it
  // predicts to others, otherwise null.
  virtual const HiddenStateModel* hidden_states() const { return nullptr; }

  // Size of a state in bytes, a multiple of 4. States must be aligned like a
  // float.
  virtual size_t state_size() const = 0;

  // Writes the state after <s>, which is the start of every text.
  virtual void Start(std::byte* state) const = 0;

  // Writes the state in which nothing was read, not even <s>, and returns true.
  // Returns false, and may have written anything, if the model predicts no word
  // there. Networks do not: they are trained to predict only after <s>.
  virtual bool StartEmpty(std::byte* /*state*/) const { return false; }

  // Whether Score() can tell the lengths of n-grams: whether the model looks up
  // n-grams.
  virtual bool has_ngram_lengths() const { return false; }

  // One text to score, as views of the caller's memory.
  struct Query {
    const std::byte* state;          // in: the state before the words
    absl::Span<const WordId> words;  // in: ids < vocabulary size
    std::byte* next_state;        // out: the state after the words; may be null
    absl::Span<float> log_probs;  // out: ln P(words[t] | all before), or empty
    // Out: the number of words, words[t] included, of the longest n-gram of the
    // model that ends with words[t] and that gave its probability; or empty. It
    // is 0 if there is none: UnseenRule::kFloor looks up one context only.
    absl::Span<uint8_t> ngram_lengths = {};
  };

  // Scores a batch of whole sequences. REQUIRES: log_probs and ngram_lengths
  // are empty or as long as words, and ngram_lengths is empty unless
  // has_ngram_lengths(). next_state may point to the state of the same query,
  // but must not overlap any other memory of the batch.
  virtual void Score(absl::Span<const Query> batch) const = 0;

  // Writes ln P(w | state) for every word w of the vocabulary, as a row-major
  // matrix of shape (states.size(), V), where V is the vocabulary size.
  virtual void Distribution(absl::Span<const std::byte* const> states,
                            float* log_probs) const = 0;

  // Writes the k best next words of each state in the order of Likelier(), as a
  // row-major matrix of shape (states.size(), k). The default implementation
  // sorts the distribution.
  // REQUIRES: 1 <= k <= V; best.size() == states.size() * k.
  virtual void TopK(absl::Span<const std::byte* const> states, size_t k,
                    absl::Span<ScoredWord> best) const;
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_LANGUAGE_MODEL_H_
