// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_HIDDEN_STATE_MODEL_H_
#define LMSERVE_MODELS_HIDDEN_STATE_MODEL_H_

#include <cstddef>

#include "absl/types/span.h"
#include "models/language_model.h"

namespace lmserve {

// A language model that predicts the next word from a vector h_t, the hidden
// state of its last layer, and that gives this vector to others: a continuous
// cache compares the vectors of different places in a text.
//
// Immutable after construction: any number of threads may use one instance.
class HiddenStateModel {
 public:
  virtual ~HiddenStateModel() = default;

  // The number of floats of a hidden state.
  virtual size_t hidden_size() const = 0;

  // Scores a batch as LanguageModel::Score() does, to the bit, and writes the
  // hidden states from which its words are predicted: a row-major matrix of
  // shape (words of all queries, hidden_size()). The row of words[t] is the
  // state before the model reads words[t].
  virtual void ScoreWithHidden(absl::Span<const LanguageModel::Query> batch,
                               float* hidden) const = 0;

  // Writes the hidden state from which the word after `state`, a state of the
  // language model, is predicted. It has the same bits as ScoreWithHidden()
  // writes for that word.
  virtual void CopyHidden(const std::byte* state, float* hidden) const = 0;
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_HIDDEN_STATE_MODEL_H_
