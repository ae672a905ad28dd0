// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_NEURAL_RECURRENT_TRANSLATION_MODEL_H_
#define LMSERVE_MODELS_NEURAL_RECURRENT_TRANSLATION_MODEL_H_

#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "models/neural/recurrent_layer.h"
#include "models/neural/recurrent_model.h"
#include "models/neural/source_attention.h"
#include "models/neural/translation_weights.h"
#include "models/translation_model.h"

namespace lmserve {

// The recurrent encoder-decoder (Cho et al. 2014, Sutskever et al. 2014). An
// encoder with layers of plain, GRU or LSTM cells, in one direction or in both,
// reads the source and </s>:
//
//   s_j = encoder(embedding of source word j)
//
// The last states of its layers are the initial states of the decoder, which is
// a RecurrentModel. If the encoder is bidirectional, a bridge maps them to the
// sizes of the decoder: h = tanh(B_h [forward; backward] + b), and for an LSTM
// c = B_c [forward; backward] + b'. The decoder may also read the last state of
// the encoder at each step, and attend to all s_j (Bahdanau et al. 2015, Luong
// et al. 2015). The tensors in the file determine which of these a model has.
//
// Owns its vocabularies and packed weights. Immutable: any number of threads
// may use one instance.
class RecurrentTranslationModel final : public TranslationModel,
                                        public InspectableModel {
 public:
  // `bytes` is the contents of weights.safetensors; the model copies what it
  // needs. Returns INVALID_ARGUMENT, naming the tensor, if it is not a
  // translation model over the vocabularies.
  static absl::StatusOr<std::unique_ptr<RecurrentTranslationModel>> Create(
      Vocabulary source_vocabulary, Vocabulary vocabulary,
      absl::string_view bytes);

  const Vocabulary& source_vocabulary() const override {
    return source_vocabulary_;
  }
  const LanguageModel& decoder() const override { return decoder_; }
  std::unique_ptr<const Source> Read(
      absl::Span<const WordId> words) const override;
  const SentenceEncoder* sentence_encoder() const override {
    return &sentence_encoder_;
  }
  const InspectableModel* inspectable() const override { return this; }
  std::vector<Layer> layers() const override;
  std::unique_ptr<Reading> Read(const Text& text,
                                size_t part_words) const override;
  bool has_attention() const override {
    return decoder_.attention() != nullptr;
  }
  void Attend(absl::Span<const AttentionQuery> batch) const override;

 private:
  class RecurrentSource;
  class TextReading;

  RecurrentTranslationModel(Vocabulary source_vocabulary, Vocabulary vocabulary,
                            TranslationParts parts);

  // Encodes a source, all but source->start. Returns the states of the layers
  // of the decoder before <s>. `visit` gets the values of the encoder.
  std::vector<float> Encode(absl::Span<const WordId> words,
                            EncodedSource* source,
                            std::optional<StepVisit> visit = {}) const;

  // Brings numbers of the steps of the encoder into the order of the source.
  // With reverse_source, the encoder reads the words in reverse, but </s> last.
  void ToSourceOrder(absl::Span<float> steps) const;

  const Vocabulary source_vocabulary_;
  const EncoderParts encoder_;
  const RecurrentSentenceEncoder sentence_encoder_;
  RecurrentModel decoder_;
  EncodedSource empty_;  // the empty source, for the decoder's own Start()
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NEURAL_RECURRENT_TRANSLATION_MODEL_H_
