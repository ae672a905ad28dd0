// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_EVALUATION_EVALUATE_LABELS_H_
#define LMSERVE_TRAINER_EVALUATION_EVALUATE_LABELS_H_

#include <cstdint>
#include <optional>

#include "absl/types/span.h"
#include "models/classifier_model.h"
#include "models/tagger_model.h"
#include "trainer/evaluation/chunk_counts.h"
#include "trainer/text/labeled_text.h"

namespace lmserve {

// How well a model labels a text: the words of a tagger, the sentences of a
// classifier. A label that the model does not have is one that it gets wrong.
struct LabelEvaluation {
  uint64_t sentences = 0;
  uint64_t words = 0;
  uint64_t oov = 0;  // words that are not in the vocabulary
  uint64_t labels = 0;
  uint64_t correct = 0;      // labels
  uint64_t oov_correct = 0;  // labels of words that are not in the vocabulary
  double log_prob = 0;       // sum of ln P of the expected labels
  double seconds = 0;        // time spent in the model
  // The chunks, if all labels of the model and the text are labels of chunks,
  // and not all of them O.
  std::optional<ChunkCounts> chunks;

  double Accuracy() const;
  double OovAccuracy() const;  // of a tagger; 0 if it knows all words
  double WordsPerSecond() const;
};

LabelEvaluation EvaluateLabels(const TaggerModel& model,
                               absl::Span<const LabeledSentence> sentences);
LabelEvaluation EvaluateLabels(const ClassifierModel& model,
                               absl::Span<const LabeledSentence> sentences);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_EVALUATION_EVALUATE_LABELS_H_
