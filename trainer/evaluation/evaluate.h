#ifndef LMSERVE_TRAINER_EVALUATION_EVALUATE_H_
#define LMSERVE_TRAINER_EVALUATION_EVALUATE_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "models/bidirectional_model.h"
#include "models/language_model.h"
#include "models/translation_model.h"
#include "trainer/text/line_reader.h"
#include "trainer/text/progress.h"
#include "trainer/text/sentence_pair.h"
#include "trainer/text/sentences.h"

namespace lmserve {

// What a model is worth on a text, a sentence a line. Each </s> is a token of a
// model that predicts it.
struct Evaluation {
  uint64_t tokens = 0;
  uint64_t oov = 0;           // of them not in the vocabulary
  double log_prob = 0;        // sum of ln P, all tokens
  double known_log_prob = 0;  // the same without those
  double seconds = 0;         // spent in the model
  uint64_t blank_lines = 0;

  // Counts words with their ln P. REQUIRES: as many of the one as of the other.
  void Add(absl::Span<const WordId> words, absl::Span<const float> log_probs,
           WordId unknown);

  double Perplexity() const;
  double PerplexityExcludingOov() const;  // 0 where every token is OOV
  double WordsPerSecond() const;
};

// Scores a text, many sentences at once. Fails, naming the line, on <s> or </s>
// in it, and where it has no sentence.
absl::StatusOr<Evaluation> Evaluate(const LanguageModel& model,
                                    LineReader& lines, TextForm form,
                                    Progress& progress);

// The same by a bidirectional model: of each word given all others, and no </s>
// is a token. So the perplexity is a pseudo-perplexity, not to be compared with
// that of a model that reads from left to right.
absl::StatusOr<Evaluation> Evaluate(const BidirectionalModel& model,
                                    LineReader& lines, Progress& progress);

// The same of translations, each given its source.
Evaluation Evaluate(const TranslationModel& model,
                    absl::Span<const SentencePair> pairs);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_EVALUATION_EVALUATE_H_
