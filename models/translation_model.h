#ifndef LMSERVE_MODELS_TRANSLATION_MODEL_H_
#define LMSERVE_MODELS_TRANSLATION_MODEL_H_

#include <cstddef>
#include <memory>

#include "absl/types/span.h"
#include "models/language_model.h"
#include "models/vocabulary.h"

namespace lmserve {

// A TranslationModel reads a sentence of one language, and is then a language
// model of another: it tells how probable each word of a translation is, given
// the source and the words before.
//
// Immutable once made: any number of threads may use one at a time.
class TranslationModel {
 public:
  virtual ~TranslationModel() = default;

  virtual const Vocabulary& source_vocabulary() const = 0;

  // The language model of translations. Its states come from a Source, and
  // those of different sources may be in one batch. Its own Start() has read a
  // source of no words.
  virtual const LanguageModel& decoder() const = 0;

  // What is known of a source that was read. States that came from one refer to
  // it: it must outlive their use. Immutable; any number of threads may use
  // one.
  class Source {
   public:
    virtual ~Source() = default;

    // Writes the decoder's state when of the translation only <s> was read.
    virtual void Start(std::byte* state) const = 0;
  };

  // Reads a sentence, which comes without <s> and </s>; ids < vocabulary size.
  virtual std::unique_ptr<const Source> Read(
      absl::Span<const WordId> words) const = 0;

  // Whether the decoder looks at each word of its source.
  virtual bool has_attention() const = 0;

  // How much a state of the decoder looks at each word of its source to tell
  // what comes next.
  struct Look {
    const std::byte* state;
    absl::Span<float> weights;  // out: of its words and </s>; their sum is 1
  };

  // Tells it of many states at once, from nothing but the states. REQUIRES:
  // has_attention(); weights are as many as the source has words, and one.
  virtual void Attend(absl::Span<const Look> looks) const = 0;
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_TRANSLATION_MODEL_H_
