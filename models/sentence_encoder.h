// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_SENTENCE_ENCODER_H_
#define LMSERVE_MODELS_SENTENCE_ENCODER_H_

#include <cmath>
#include <cstddef>

#include "absl/types/span.h"
#include "models/vocabulary.h"

namespace lmserve {

// How the states of the last layer at all positions of a sentence become one
// vector.
enum class Pooling {
  kMax,   // the greatest value of each unit
  kMean,  // the mean of each unit
  // The state after the last word that was read. Of a backward layer this is
  // the state at the first position.
  kLast,
};

// A model with recurrent layers that represents a sentence by a vector. The
// positions of a sentence are its words and the markers that the last layer
// reads, but not <s>, unless the model reads nothing else. The two directions
// of a bidirectional model are concatenated, the forward one first.
//
// The vector of a sentence does not depend on the other sentences in the batch.
// Immutable after construction: any number of threads may use one instance.
class SentenceEncoder {
 public:
  virtual ~SentenceEncoder() = default;

  // The vocabulary of the sentences; that of sources for a translation model.
  virtual const Vocabulary& sentence_vocabulary() const = 0;

  // The number of values of a vector.
  virtual size_t dimensions() const = 0;

  // A sentence to encode, as views of the caller's memory, without <s> and
  // </s>. It may be empty.
  struct Sentence {
    absl::Span<const WordId> words;  // ids < sentence_vocabulary().size()
    absl::Span<float> vector;        // out: dimensions() values
  };

  // Encodes a batch of sentences.
  virtual void Encode(absl::Span<const Sentence> batch,
                      Pooling pooling) const = 0;
};

// Divides a vector by its Euclidean norm, unless that is 0. The sum of squares
// is in double, so that it neither overflows nor vanishes.
inline void ScaleToNormOne(absl::Span<float> vector) {
  double squares = 0;
  for (float value : vector) squares += double{value} * value;
  if (squares == 0) return;
  const double norm = std::sqrt(squares);
  for (float& value : vector) value = static_cast<float>(value / norm);
}

}  // namespace lmserve

#endif  // LMSERVE_MODELS_SENTENCE_ENCODER_H_
