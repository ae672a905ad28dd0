// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_EVALUATION_EVALUATE_H_
#define LMSERVE_TRAINER_EVALUATION_EVALUATE_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "models/bidirectional_model.h"
#include "models/language_model.h"
#include "models/translation_model.h"
#include "text_io/line_reader.h"
#include "trainer/text/progress.h"
#include "trainer/text/sentence_pair.h"
#include "trainer/text/sentence_splitter.h"
#include "trainer/text/sentences.h"

namespace lmserve {

// The quality of a model on a text. Tokens are the words that the model
// predicts, including </s> unless the model is bidirectional.
struct Evaluation {
  uint64_t tokens = 0;
  uint64_t oov = 0;           // tokens that are not in the vocabulary
  double log_prob = 0;        // sum of ln P of all tokens
  double known_log_prob = 0;  // sum of ln P of the tokens in the vocabulary
  double seconds = 0;         // time spent in the model
  uint64_t blank_lines = 0;

  // Adds tokens with their ln P. REQUIRES: words and log_probs have equal
  // sizes.
  void Add(absl::Span<const WordId> words, absl::Span<const float> log_probs,
           WordId unknown);

  double Perplexity() const;
  double PerplexityExcludingOov() const;  // 0 if all tokens are OOV
  double WordsPerSecond() const;
};

// Evaluates a model on a text with one sentence per line. Fails with
// INVALID_ARGUMENT if the rules refuse a line (the message has its number), and
// if the text has no sentence.
absl::StatusOr<Evaluation> Evaluate(const LanguageModel& model,
                                    LineReader& lines, const TextRules& rules,
                                    Progress& progress);

// Evaluates a bidirectional model, which scores each word given all other words
// of its sentence and does not predict </s>. The result is a pseudo-perplexity,
// which must not be compared with the perplexity of other models. The form of
// the rules is ignored.
absl::StatusOr<Evaluation> Evaluate(const BidirectionalModel& model,
                                    LineReader& lines, TextRules rules,
                                    Progress& progress);

// Evaluates a translation model on translations, each given its source.
Evaluation Evaluate(const TranslationModel& model,
                    absl::Span<const SentencePair> pairs);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_EVALUATION_EVALUATE_H_
