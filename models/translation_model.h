// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_TRANSLATION_MODEL_H_
#define LMSERVE_MODELS_TRANSLATION_MODEL_H_

#include <cstddef>
#include <memory>

#include "absl/types/span.h"
#include "models/inspectable_model.h"
#include "models/language_model.h"
#include "models/sentence_encoder.h"
#include "models/vocabulary.h"

namespace lmserve {

// A TranslationModel reads a sentence of a source language. It is then a
// language model of a target language: it returns the probability of each word
// of a translation given the source sentence and the words before.
//
// Immutable after construction: any number of threads may use one instance.
class TranslationModel {
 public:
  virtual ~TranslationModel() = default;

  virtual const Vocabulary& source_vocabulary() const = 0;

  // The language model of translations. Source::Start() writes its initial
  // states. One batch may hold states of different sources. decoder().Start()
  // writes the initial state for an empty source sentence.
  virtual const LanguageModel& decoder() const = 0;

  // An encoded source sentence. States that come from a Source refer to it, so
  // it must outlive their use. Immutable: any number of threads may use one
  // instance.
  class Source {
   public:
    virtual ~Source() = default;

    // Writes the state of the decoder at the start of a translation, after <s>.
    virtual void Start(std::byte* state) const = 0;
  };

  // Encodes a source sentence without <s> and </s>. REQUIRES: every id is less
  // than source_vocabulary().size().
  virtual std::unique_ptr<const Source> Read(
      absl::Span<const WordId> words) const = 0;

  // Returns the model itself if its gates and states can be looked at while it
  // reads a source and a translation, otherwise null. The decoder alone cannot
  // be inspected, because its first state depends on the source.
  virtual const InspectableModel* inspectable() const { return nullptr; }

  // Returns the vectors that the model has of source sentences, or null.
  virtual const SentenceEncoder* sentence_encoder() const { return nullptr; }

  // Whether the decoder has attention over the positions of its source.
  virtual bool has_attention() const = 0;

  // Asks for the attention weights with which a state of the decoder predicts
  // the next word: one for each word of the source and one for </s>.
  struct AttentionQuery {
    const std::byte* state;
    absl::Span<float> weights;  // out: their sum is 1
  };

  // Computes the attention weights of a batch of states.
  // REQUIRES: has_attention(); weights.size() is the number of words in the
  // source of the state, plus 1.
  virtual void Attend(absl::Span<const AttentionQuery> batch) const = 0;
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_TRANSLATION_MODEL_H_
