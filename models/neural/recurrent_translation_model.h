#ifndef LMSERVE_MODELS_NEURAL_RECURRENT_TRANSLATION_MODEL_H_
#define LMSERVE_MODELS_NEURAL_RECURRENT_TRANSLATION_MODEL_H_

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "models/neural/recurrent_model.h"
#include "models/neural/source_attention.h"
#include "models/neural/translation_weights.h"
#include "models/translation_model.h"

namespace lmserve {

// The RNN encoder-decoder (Cho et al. 2014, Sutskever et al. 2014): an encoder
// of plain, gated or LSTM layers, in one direction or both, reads the source
// and </s>; from its last states starts a decoder, a RecurrentModel, which may
// read its last state at each step and look at all of its states (Bahdanau et
// al. 2015, Luong et al. 2015). What it has of this follows from its tensors.
//
// Immutable: any number of threads may use one at a time.
class RecurrentTranslationModel final : public TranslationModel {
 public:
  // The bytes are weights.safetensors; they must outlive the model, which reads
  // the embeddings in place. Fails with INVALID_ARGUMENT, naming the tensor,
  // where they are not those of such a model over those vocabularies.
  static absl::StatusOr<std::unique_ptr<RecurrentTranslationModel>> Create(
      Vocabulary source_vocabulary, Vocabulary vocabulary,
      absl::string_view bytes);

  const Vocabulary& source_vocabulary() const override {
    return source_vocabulary_;
  }
  const LanguageModel& decoder() const override { return decoder_; }
  std::unique_ptr<const Source> Read(
      absl::Span<const WordId> words) const override;
  bool has_attention() const override {
    return decoder_.attention() != nullptr;
  }
  void Attend(absl::Span<const Look> looks) const override;

 private:
  class ReadSource;

  RecurrentTranslationModel(Vocabulary source_vocabulary, Vocabulary vocabulary,
                            TranslationParts parts);

  void Encode(absl::Span<const WordId> words, EncodedSource* source) const;

  const Vocabulary source_vocabulary_;
  const EncoderParts encoder_;
  RecurrentModel decoder_;
  EncodedSource empty_;  // what the decoder's own Start() has read
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NEURAL_RECURRENT_TRANSLATION_MODEL_H_
