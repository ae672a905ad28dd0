#ifndef LMSERVE_MODELS_NEURAL_RECURRENT_BIDIRECTIONAL_MODEL_H_
#define LMSERVE_MODELS_NEURAL_RECURRENT_BIDIRECTIONAL_MODEL_H_

#include <memory>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "models/bidirectional_model.h"
#include "models/neural/network_weights.h"

namespace lmserve {

// A deep bidirectional recurrent network (Schuster and Paliwal 1997; Graves et
// al. 2013) with a gap to fill: embedding, layers that each read a sentence in
// both directions and hand both states to the next, and a softmax over the
// vocabulary from both states of the last layer at the gap.
//
// Sentences of one length are read side by side, step by step.
//
// Immutable: any number of threads may use one at a time.
class RecurrentBidirectionalModel final : public BidirectionalModel {
 public:
  // The bytes are weights.safetensors; they must outlive the model, which reads
  // the embedding in place. Fails with INVALID_ARGUMENT, naming the tensor,
  // where they are not those of such a model over that vocabulary.
  static absl::StatusOr<std::unique_ptr<RecurrentBidirectionalModel>> Create(
      Vocabulary vocabulary, absl::string_view bytes);

  const Vocabulary& vocabulary() const override { return vocabulary_; }
  void Score(absl::Span<const Sentence> batch) const override;
  void Rate(absl::Span<const Gap> gaps, absl::Span<const WordId> words,
            float* log_probs) const override;
  void Fill(absl::Span<const Gap> gaps, size_t k,
            absl::Span<ScoredWord> best) const override;

 private:
  class Pass;

  // Some gaps in sentences of one length, by number, and the features of each
  // that the output layer reads: (gaps, features).
  using Visit = absl::FunctionRef<void(absl::Span<const size_t> gaps,
                                       const float* features)>;

  RecurrentBidirectionalModel(Vocabulary vocabulary, RecurrentParts parts)
      : vocabulary_(std::move(vocabulary)), parts_(std::move(parts)) {}

  // Reads all sentences, so many at once as may be held in memory.
  void Read(absl::Span<const Gap> gaps, Visit visit) const;

  const Vocabulary vocabulary_;
  const RecurrentParts parts_;
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NEURAL_RECURRENT_BIDIRECTIONAL_MODEL_H_
